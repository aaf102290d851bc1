"""The front as a plotly figure, for notebooks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.records import Measurement
from explorer.study.front import FrontView
from explorer.views.formatting import (
    Glyphs,
    displayed_metrics,
    interval_text,
    metric_title,
    scale_of,
    value_text,
    variant_text,
    varying_parameters,
)
from explorer.views.points import (
    FAINT,
    FRONT,
    GRID,
    INK,
    KNEE,
    LINE,
    Point,
    axis_directions,
    axis_label,
    is_wide_span,
    measured_points,
    staircase,
    usual_axes,
)

# For `Figure.show`: by default Plotly has a button that uploads the chart's data to a server.
FIGURE_CONFIG: Mapping[str, Any] = MappingProxyType(
    {
        "responsive": True,
        "displaylogo": False,
        "plotlyServerURL": "",
        "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
    }
)
_MARKERS: dict[str, dict[str, Any]] = {
    "infeasible": {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": FAINT}},
    "invalid": {"symbol": "diamond-open", "size": 8, "color": FAINT},
    "feasible": {"size": 7, "color": "#cbd2d9"},
    "near": {"symbol": "circle-open", "size": 10, "color": FRONT, "opacity": 0.6},
    "front": {"size": 11, "color": FRONT, "line": {"width": 1, "color": "white"}},
    "knee": {"symbol": "circle-open", "size": 21, "color": KNEE, "line": {"width": 2.5}},
    "baseline": {"symbol": "square-open", "size": 15, "color": INK, "line": {"width": 2}},
}


def front_figure(front: FrontView) -> go.Figure:
    """Return the front over two objectives (`usual_axes`) with every measured trial behind it.

    Ratios are in percent; x is logarithmic where its values span a wide range. Error bars are 95 % intervals. The line
    joins the trials that no other dominates in x and y alone. Each trace has the numbers of its trials in `customdata`
    and its role in `meta`; a role without trials has no trace.
    """
    result = front.searched
    x, y, color = usual_axes(result)
    points = measured_points(front)
    placed = [p for p in points if p.value(x) is not None and p.value(y) is not None]
    variants = {trial.number: trial.variant for trial in result.trials}
    parameters, metrics = varying_parameters(result.space), displayed_metrics(result)

    def trace(role: str, chosen: Sequence[Point], **style: Any) -> go.Scatter:
        bars = {"error_x": _bars(chosen, x), "error_y": _bars(chosen, y)} if role in ("front", "near") else {}
        return go.Scatter(
            x=_values(chosen, x),
            y=_values(chosen, y),
            customdata=[point.trial for point in chosen],
            hovertext=[_words(p, variant_text(variants[p.trial], parameters, Glyphs()), metrics) for p in chosen],
            hovertemplate="%{hovertext}<extra></extra>",
            name="near the front" if role == "near" else role,
            meta=role,
            **{"mode": "markers", "marker": _MARKERS.get(role), **bars, **style},
        )

    groups = {role: [point for point in placed if point.group == role] for role in _MARKERS}
    groups["knee"] = [point for point in placed if point.is_knee]
    groups["baseline"] = [point for point in placed if point.is_baseline]
    directions, known = axis_directions(result), {point.trial: point for point in placed}
    steps = [known[number] for number in staircase(placed, x, y, directions)]
    shape = "hv" if directions[x] == "minimize" else "vh"
    colored = {} if color is None else {"marker": _MARKERS["front"] | _colors(groups["front"], color)}
    traces = [
        *(trace(role, groups[role]) for role in ("infeasible", "invalid", "feasible", "near")),
        trace("best of these two", steps, mode="lines", line={"shape": shape, "color": LINE, "width": 1.2}),
        trace("front", groups["front"], **colored),
        *(trace(role, groups[role]) for role in ("knee", "baseline")),
    ]
    is_log = is_wide_span([point.value(x) for point in placed])
    return go.Figure([one for one in traces if len(one.x)], _layout(x, y, is_log))


def _layout(x: str, y: str, is_log: bool) -> dict[str, Any]:
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": "#cbd2d9", "ticks": "outside", "tickcolor": "#cbd2d9"}
    log = {"type": "log", "dtick": "D2", "tickformat": "~g"} if is_log else {}  # 0.1, 0.2, 0.5, 1 in full
    return {
        "template": "none",
        "height": 520,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "hoverlabel": {"bgcolor": "white", "align": "left", "font": {"color": INK}},
        "modebar": {"remove": list(FIGURE_CONFIG["modeBarButtonsToRemove"])},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": {**axis, "title": {"text": axis_label(x)}, **log},
        "yaxis": {**axis, "title": {"text": axis_label(y)}},
    }


def _values(points: Sequence[Point], axis: str) -> list[float | None]:
    values = (point.value(axis) for point in points)
    return [None if value is None else value * scale_of(axis) for value in values]


def _colors(points: Sequence[Point], metric: str) -> dict[str, Any]:
    """Colors by a metric, on a logarithmic scale where its values span a wide range."""
    values = _values(points, metric)
    known = [value for value in values if value is not None]
    bar: dict[str, Any] = {"title": {"text": axis_label(metric), "side": "right"}, "thickness": 10, "outlinewidth": 0}
    if is_wide_span(known):
        values = [None if value is None else math.log10(value) for value in values]
        places = np.linspace(math.log10(min(known)), math.log10(max(known)), 5)
        bar |= {"tickvals": places, "ticktext": [f"{10**place:.3g}" for place in places]}
    return {"color": values, "colorscale": "Cividis", "showscale": True, "colorbar": bar}


def _bars(points: Sequence[Point], axis: str) -> dict[str, Any]:
    """The distances to both ends of the 95 % intervals, 0 where there is none."""
    found = [(one.value, one.low, one.high) for one in (p.metrics.get(axis, Measurement(None)) for p in points)]
    up = [0.0 if value is None or high is None else (high - value) * scale_of(axis) for value, _, high in found]
    down = [0.0 if value is None or low is None else (value - low) * scale_of(axis) for value, low, _ in found]
    return {"symmetric": False, "array": up, "arrayminus": down, "color": FAINT, "thickness": 1, "width": 0}


def _words(point: Point, variant: str, metrics: Sequence[str]) -> str:
    """The trial, its variant, and its metrics with intervals, as HTML; text from a study is escaped."""
    lines = [f"trial {point.trial}, {point.group}", point.reason, variant]
    for name in metrics:
        measured = point.metrics.get(name)
        if measured is not None and measured.value is not None:
            lines.append(f"{metric_title(name)} {value_text(name, measured.value)}")
            lines[-1] += f" ({interval})" if (interval := interval_text(name, measured, Glyphs())) else ""
    return "<br>".join(escape(line, quote=False) for line in lines if line)
