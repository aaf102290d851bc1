"""Figures drawn from their numbers: the front, the front in space, the hypervolume's history, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from explorer.objectives import METRICS
from explorer.views.infos import FrontInfo, HistoryInfo, ParallelInfo
from explorer.views.points import Point
from explorer.views.theme import (
    FAINT,
    FRONT,
    GRID,
    INK,
    KNEE,
    LINE,
    LOG_TICKS,
    SCALE,
    axis_label,
    is_wide_span,
    layout,
    short_label,
)
from explorer.views.wording import number_text, parameter_title, scale_of


def front_figure(info: FrontInfo, has_buttons: bool = True) -> go.Figure:
    """The front over its first two axes: every trial behind it, intervals as error bars, the third axis as color.

    Each trace has its trials' numbers in `customdata` and its role in `meta`. With `has_buttons` the figure carries
    its own switch between linear and logarithmic x.
    """
    groups = {name: [p for p in _placed(info) if p.group == name] for name in ("infeasible", "feasible", "front")}
    known = {point.trial: point for point in info.points}
    figure = go.Figure()
    cross = {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": FAINT}, "opacity": 0.8}
    figure.add_trace(_scatter(info, groups["infeasible"], "infeasible", marker=cross))
    figure.add_trace(_scatter(info, groups["feasible"], "dominated", marker={"size": 7, "color": "#cbd2d9"}))
    figure.add_trace(_stairs(info, [known[trial] for trial in info.staircase]))
    figure.add_trace(
        _scatter(info, groups["front"], "front", marker=_front_marker(info, groups["front"]), has_bars=True)
    )
    knees = [point for point in groups["front"] if point.is_knee]
    ring = {"symbol": "circle-open", "size": 21, "color": KNEE, "line": {"width": 2.5}}
    figure.add_trace(_scatter(info, knees, "knee", marker=ring, hoverinfo="skip"))
    baselines = [point for point in _placed(info) if point.is_baseline]
    square = {"symbol": "square-open", "size": 15, "color": INK, "line": {"width": 2}}
    figure.add_trace(_scatter(info, baselines, "baseline", marker=square, hoverinfo="skip"))
    figure.update_layout(layout(height=520, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}))
    kind = "log" if is_wide_span([point.value(info.x) for point in _placed(info)]) else "linear"
    figure.update_xaxes(title_text=axis_label(info.x), type=kind, **(LOG_TICKS if kind == "log" else {}))
    figure.update_yaxes(title_text=axis_label(info.y))
    if has_buttons:
        figure.update_layout(updatemenus=[_log_buttons(kind)])
    return figure


def space_figure(info: FrontInfo, axes: tuple[str, str, str]) -> go.Figure:
    """The front and the dominated trials over three metrics."""
    figure = go.Figure()
    placed = [p for p in info.points if p.group != "infeasible" and all(p.value(axis) is not None for axis in axes)]
    for group, name, size, color in (("feasible", "dominated", 3, FAINT), ("front", "front", 6, FRONT)):
        _add_space_trace(figure, [p for p in placed if p.group == group], axes, name, {"size": size, "color": color})
    knee = {"size": 9, "color": KNEE, "symbol": "diamond"}
    _add_space_trace(figure, [p for p in placed if p.is_knee], axes, "knee", knee)
    _add_space_trace(
        figure, [p for p in placed if p.is_baseline], axes, "baseline", {"size": 7, "color": INK, "symbol": "square"}
    )
    figure.update_layout(layout(height=440, legend={"orientation": "h", "y": 1.0, "x": 0}))
    figure.update_layout(margin={"l": 0, "r": 0, "t": 24, "b": 0})
    for letter, axis in zip("xyz", axes, strict=True):
        kind = "log" if is_wide_span([point.value(axis) for point in placed]) else "linear"
        style = {"title": {"text": short_label(axis)}, "type": kind, "backgroundcolor": "#fafbfc", "gridcolor": GRID}
        style |= LOG_TICKS if kind == "log" else {}
        figure.update_layout({"scene": {f"{letter}axis": {**style, "showbackground": True, "nticks": 5}}})
    figure.update_layout(scene_camera={"eye": {"x": 1.55, "y": -1.55, "z": 0.85}})
    return figure


def history_figure(info: HistoryInfo) -> go.Figure:
    """The hypervolume after each trial, as stairs."""
    scale = 100.0 if info.is_ratio else 1.0
    figure = go.Figure(
        go.Scatter(
            x=list(range(1, len(info.values) + 1)),
            y=[value * scale for value in info.values],
            customdata=list(info.trials),
            mode="lines",
            line={"shape": "hv", "color": FRONT, "width": 2},
            fill="tozeroy",
            fillcolor="rgba(0,114,178,0.08)",
            hovertemplate="after trial %{customdata}: %{y:.2f}" + (" %" if info.is_ratio else "") + "<extra></extra>",
        )
    )
    figure.update_layout(layout(height=440, showlegend=False, margin={"l": 64, "r": 16, "t": 16, "b": 56}))
    figure.update_xaxes(title_text="finished trials")
    figure.update_yaxes(title_text="hypervolume [%]" if info.is_ratio else "hypervolume", rangemode="tozero")
    return figure


def parallel_figure(info: ParallelInfo) -> go.Figure:
    """Every feasible trial as a line through its parameters and metrics; those of the front are dark."""
    dimensions = []
    for column in info.columns:
        values = [value * scale_of(column.name) for value in column.values]
        dimension: dict[str, Any] = {"label": _column_title(column.name), "values": values}
        if column.ticks:
            dimension |= {"tickvals": list(range(len(column.ticks))), "ticktext": list(column.ticks)}
        dimensions.append(dimension)
    colors = {"color": [int(member) for member in info.is_front], "cmin": 0, "cmax": 1, "showscale": False}
    colors["colorscale"] = [[0.0, "#d5dbe3"], [1.0, FRONT]]
    figure = go.Figure(go.Parcoords(line=colors, dimensions=dimensions, labelfont={"size": 12}, tickfont={"size": 11}))
    figure.update_layout(layout(height=380))
    return figure.update_layout(margin={"l": 64, "r": 72, "t": 60, "b": 24})


def _placed(info: FrontInfo) -> list[Point]:
    """The points that know both axes."""
    return [p for p in info.points if p.value(info.x) is not None and p.value(info.y) is not None]


def _scatter(info: FrontInfo, points: Sequence[Point], role: str, has_bars: bool = False, **style: Any) -> go.Scatter:
    """A trace of points that knows its role and its trials."""
    bars = (
        {f"error_{letter}": _bars(points, axis) for letter, axis in (("x", info.x), ("y", info.y))} if has_bars else {}
    )
    hover = {} if "hoverinfo" in style else {"hovertemplate": "%{hovertext}<extra></extra>"}
    return go.Scatter(
        x=_values(points, info.x),
        y=_values(points, info.y),
        customdata=[point.trial for point in points],
        hovertext=[point.words for point in points],
        name=role,
        meta=role,
        mode="markers",
        **hover,
        **bars,
        **style,
    )


def _stairs(info: FrontInfo, points: Sequence[Point]) -> go.Scatter:
    """The edge of what is reachable in two axes: it keeps the last y until a better x has paid for the next."""
    return go.Scatter(
        x=_values(points, info.x),
        y=_values(points, info.y),
        customdata=[point.trial for point in points],
        name="best of these two axes",
        meta="stairs",
        mode="lines",
        line={"shape": "hv" if info.directions[info.x] == "minimize" else "vh", "color": LINE, "width": 1.2},
        hoverinfo="skip",
    )


def _values(points: Sequence[Point], axis: str) -> list[float | None]:
    """The points' places on an axis, scaled as they are shown."""
    places = (point.value(axis) for point in points)
    return [None if place is None else place * scale_of(axis) for place in places]


def _bars(points: Sequence[Point], axis: str) -> dict[str, Any]:
    """The 95 % intervals as error bars; nothing where there is none."""
    ends = [
        (p.metrics[axis].value, p.metrics[axis].low, p.metrics[axis].high) if axis in p.metrics else (None,) * 3
        for p in points
    ]
    scale = scale_of(axis)
    up = [0.0 if value is None or high is None else (high - value) * scale for value, _, high in ends]
    down = [0.0 if value is None or low is None else (value - low) * scale for value, low, _ in ends]
    return {
        "type": "data",
        "symmetric": False,
        "array": up,
        "arrayminus": down,
        "color": FAINT,
        "thickness": 1,
        "width": 0,
    }


def _front_marker(info: FrontInfo, points: Sequence[Point]) -> dict[str, Any]:
    """The front's points, colored by the third axis, in logarithms where it spans much."""
    marker: dict[str, Any] = {"size": 11, "color": FRONT, "line": {"width": 1, "color": "white"}}
    values = [] if info.color is None else [point.value(info.color) for point in points]
    known = [value for value in values if value is not None]
    if info.color is None or not known:
        return marker
    is_log = is_wide_span(known)
    scale = scale_of(info.color)
    shown = [None if v is None else math.log10(v * scale) if is_log else v * scale for v in values]
    bar: dict[str, Any] = {
        "title": {"text": axis_label(info.color), "side": "right"},
        "thickness": 10,
        "outlinewidth": 0,
    }
    if is_log:
        ends = (math.log10(min(known) * scale), math.log10(max(known) * scale))
        places = [ends[0] + (ends[1] - ends[0]) * part / 4 for part in range(5)]
        bar |= {"tickvals": places, "ticktext": [number_text("", 10**place) for place in places]}
    return marker | {"color": shown, "colorscale": SCALE, "showscale": True, "colorbar": bar, "size": 12}


def _add_space_trace(
    figure: go.Figure, points: Sequence[Point], axes: tuple[str, str, str], name: str, marker: dict[str, Any]
) -> None:
    """One group of points in space."""
    x, y, z = (_values(points, axis) for axis in axes)
    words = [point.words for point in points]
    figure.add_trace(
        go.Scatter3d(
            x=x,
            y=y,
            z=z,
            name=name,
            mode="markers",
            marker=marker,
            hovertext=words,
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )


def _column_title(name: str) -> str:
    """A column of the parallel coordinates in words: a metric with its unit, or a parameter."""
    return short_label(name) if name in METRICS else parameter_title(name)


def _log_buttons(kind: str) -> dict[str, Any]:
    """The switch between linear and logarithmic x."""
    kinds = ("log", "linear")
    buttons = [{"label": f"{k} x", "method": "relayout", "args": [{"xaxis.type": k}]} for k in kinds]
    place = {"x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return {"type": "buttons", "direction": "right", "active": kinds.index(kind), "buttons": buttons, **place}
