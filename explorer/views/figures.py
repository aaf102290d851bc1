"""Figures drawn from their numbers: the front, the front in space, the hypervolume's history, parallel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import plotly.graph_objects as go

from explorer.objectives import METRICS
from explorer.views.front_traces import (
    front_marker,
    placed_points,
    scatter,
    shown_values,
    stairs,
    tie_links,
)
from explorer.views.infos import FrontInfo, HistoryInfo, ParallelInfo
from explorer.views.points import Group, Point
from explorer.views.theme import (
    FAINT,
    FRONT,
    GRID,
    INK,
    KNEE,
    LOG_TICKS,
    axis_label,
    is_wide_span,
    layout,
    short_label,
)
from explorer.views.wording import parameter_title, scale_of


def front_figure(info: FrontInfo, has_buttons: bool = True) -> go.Figure:
    """The front over its first two axes: every trial behind it, intervals as error bars, the third axis as color.

    Each trace has its trials' numbers in `customdata` and its role in `meta`; a role that no trial has, has no trace.
    Trials that cannot be told apart are linked. With `has_buttons` the figure carries its own switch between linear and
    logarithmic x.
    """
    placed = placed_points(info)
    groups = {name: [p for p in placed if p.group == name] for name in get_args(Group)}
    known = {point.trial: point for point in info.points}
    cross = {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": FAINT}, "opacity": 0.8}
    doubt = {"symbol": "diamond-open", "size": 8, "line": {"width": 1.2}, "color": FAINT, "opacity": 0.8}
    hollow = {"symbol": "circle-open", "size": 10, "color": FRONT, "opacity": 0.6, "line": {"width": 1.5}}
    ring = {"symbol": "circle-open", "size": 21, "color": KNEE, "line": {"width": 2.5}}
    square = {"symbol": "square-open", "size": 15, "color": INK, "line": {"width": 2}}
    knees, baselines = [p for p in groups["front"] if p.is_knee], [p for p in placed if p.is_baseline]
    traces = [
        scatter(info, groups["infeasible"], "infeasible", marker=cross),
        scatter(info, groups["invalid"], "invalid", marker=doubt),
        scatter(info, groups["feasible"], "feasible", marker={"size": 7, "color": "#cbd2d9"}),
        stairs(info, [known[trial] for trial in info.staircase]),
        tie_links(info, placed),
        scatter(info, groups["near"], "near the front", has_bars=True, marker=hollow),
        scatter(info, groups["front"], "front", has_bars=True, marker=front_marker(info, groups["front"])),
        scatter(info, knees, "knee", marker=ring, hoverinfo="skip"),
        scatter(info, baselines, "baseline", marker=square, hoverinfo="skip"),
    ]
    figure = go.Figure([trace for trace in traces if len(trace.x)])
    figure.update_layout(layout(height=520, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}))
    kind = "log" if is_wide_span([point.value(info.x) for point in placed]) else "linear"
    figure.update_xaxes(title_text=axis_label(info.x), type=kind, **(LOG_TICKS if kind == "log" else {}))
    figure.update_yaxes(title_text=axis_label(info.y))
    if has_buttons:
        figure.update_layout(updatemenus=[_log_buttons(kind)])
    return figure


def space_figure(info: FrontInfo, axes: tuple[str, str, str]) -> go.Figure:
    """The front and the other feasible trials over three metrics."""
    figure = go.Figure()
    placed = [p for p in info.points if p.is_feasible and all(p.value(axis) is not None for axis in axes)]
    rest, front = [p for p in placed if p.group != "front"], [p for p in placed if p.group == "front"]
    for points, name, size, color in ((rest, "feasible", 3, FAINT), (front, "front", 6, FRONT)):
        _add_space_trace(figure, points, axes, name, {"size": size, "color": color})
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


def _add_space_trace(
    figure: go.Figure, points: Sequence[Point], axes: tuple[str, str, str], name: str, marker: dict[str, Any]
) -> None:
    """One group of points in space."""
    x, y, z = (shown_values(points, axis) for axis in axes)
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
