"""Traces of the front's figure: points with their intervals, the step line, links between ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from explorer.views.infos import FrontInfo
from explorer.views.points import Point
from explorer.views.theme import FAINT, FRONT, LINE, SCALE, axis_label, is_wide_span
from explorer.views.wording import number_text, scale_of


def placed_points(info: FrontInfo) -> list[Point]:
    """The points that know both axes."""
    return [p for p in info.points if p.value(info.x) is not None and p.value(info.y) is not None]


def scatter(info: FrontInfo, points: Sequence[Point], role: str, has_bars: bool = False, **style: Any) -> go.Scatter:
    """A trace of points that knows its role and its trials."""
    bars = (
        {f"error_{letter}": _bars(points, axis) for letter, axis in (("x", info.x), ("y", info.y))} if has_bars else {}
    )
    hover = {} if "hoverinfo" in style else {"hovertemplate": "%{hovertext}<extra></extra>"}
    return go.Scatter(
        x=shown_values(points, info.x),
        y=shown_values(points, info.y),
        customdata=[point.trial for point in points],
        hovertext=[point.words for point in points],
        name=role,
        meta=role,
        mode="markers",
        **hover,
        **bars,
        **style,
    )


def stairs(info: FrontInfo, points: Sequence[Point]) -> go.Scatter:
    """The edge of what is reachable in two axes: it keeps the last y until a better x has paid for the next."""
    return go.Scatter(
        x=shown_values(points, info.x),
        y=shown_values(points, info.y),
        customdata=[point.trial for point in points],
        name="best of these two axes",
        meta="stairs",
        mode="lines",
        line={"shape": "hv" if info.directions[info.x] == "minimize" else "vh", "color": LINE, "width": 1.2},
        hoverinfo="skip",
    )


def tie_links(info: FrontInfo, placed: Sequence[Point]) -> go.Scatter:
    """A dotted line between every two points that cannot be told apart in any objective."""
    at = {point.trial: point for point in placed}
    pairs = [(p, at[other]) for p in placed for other in p.ties if other in at and p.trial < other]
    ends = [[*shown_values(pair, axis), None] for axis in (info.x, info.y) for pair in pairs]
    return go.Scatter(
        x=[value for one in ends[: len(pairs)] for value in one],
        y=[value for one in ends[len(pairs) :] for value in one],
        name="a tie",
        meta="ties",
        mode="lines",
        line={"dash": "dot", "color": LINE, "width": 1.6},
        hoverinfo="skip",
    )


def front_marker(info: FrontInfo, points: Sequence[Point]) -> dict[str, Any]:
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


def shown_values(points: Sequence[Point], axis: str) -> list[float | None]:
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
