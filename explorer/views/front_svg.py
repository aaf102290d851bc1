"""The front as an SVG picture without scripts, for a bundle's model card: its numbers here, its shapes in front.svg."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from explorer.study.front import FrontView
from explorer.views.formatting import one_line, scale_of, share_text
from explorer.views.points import (
    FAINT,
    FRONT,
    GRID,
    INK,
    KNEE,
    LINE,
    TRIAL_AXIS,
    Point,
    axis_directions,
    axis_label,
    is_wide_span,
    measured_points,
    staircase,
)

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, WIDTH - 16, 52, HEIGHT - 52  # of the frame

_COLORS = {"ink": INK, "grid": GRID, "faint": FAINT, "line": LINE, "knee": KNEE}
_CIRCLES = {
    "front": {"r": 5, "fill": FRONT, "stroke": FRONT, "stroke-width": 1.5},
    "other": {"r": 5, "fill": "white", "stroke": FRONT, "stroke-width": 1.5},
    "near": {"r": 4.5, "fill": "white", "stroke": FRONT, "stroke-width": 1.3, "stroke-dasharray": "2 2"},
    "feasible": {"r": 3.5, "fill": FAINT},
}
_CROSSES = {"infeasible": "M-3 -3L3 3M3 -3L-3 3", "invalid": "M0 -4.5L4.5 0L0 4.5L-4.5 0Z"}
_LEGEND = {
    "front": "front",
    "other": "through another objective",
    "near": "near it",
    "feasible": "feasible",
    "infeasible": "infeasible",
    "invalid": "invalid",
    "baseline": "baseline",
}


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic scale from displayed values of a metric to pixels from `start` to `end`."""

    name: str
    low: float
    high: float
    is_log: bool
    start: float
    end: float

    @classmethod
    def of(cls, name: str, values: Sequence[float], start: float, end: float) -> Axis:
        """Return an axis with all of `values` and a margin; logarithmic where they span a wide range."""
        is_log = is_wide_span(values)
        low, high = min(values), max(values)
        if is_log:
            return cls(name, low / 1.15, high * 1.15, is_log, start, end)
        margin = (high - low or abs(high) or 1.0) * 0.06
        return cls(name, low - margin, high + margin, is_log, start, end)

    def has(self, value: float) -> bool:
        """Return whether a value lies on the axis."""
        return self.low <= value <= self.high

    def at(self, value: float) -> float:
        """Return the position of a value in pixels, at most that of the nearer end."""
        within = min(self.high, max(self.low, value))
        low, high, here = (math.log(v) if self.is_log else v for v in (self.low, self.high, within))
        return round(self.start + (self.end - self.start) * (here - low) / (high - low), 1)

    def ticks(self) -> list[float]:
        """Return ticks: 1, 2 and 5 of each decade on a logarithmic axis, else multiples of such a number."""
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            return [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= m * 10.0**d <= self.high]
        rough = (self.high - self.low) / 6
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
        return [i * step for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def front_svg(front: FrontView, chosen: int) -> str:
    """Return an SVG of every measured trial in the first two objectives, with a step line and the chosen trial marked.

    With one objective, x is the trial's number. Points that are on the front only through another objective are hollow
    and not on the step line. A confirmed front has confirmed values. The frame encloses the feasible trials; infeasible
    and invalid ones may lie outside.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explorer", "views"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("front.svg").render(
        title=f"front of {one_line(front.searched.name)}",
        chosen=chosen,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        colors=_COLORS,
        circles=_CIRCLES,
        crosses=_CROSSES,
        **_numbers(front, chosen),
    )


def _numbers(front: FrontView, chosen: int) -> dict[str, Any]:
    """Return what the picture draws, in pixels: axes, legend, steps, ties and marks; empty without a feasible trial."""
    metrics = [objective.metric for objective in front.searched.objectives]
    y, x = metrics[0], metrics[1] if len(metrics) > 1 else TRIAL_AXIS
    placed = [p for p in measured_points(front) if p.value(x) is not None and p.value(y) is not None]
    framed = [point for point in placed if point.is_feasible or point.trial == chosen]
    if not framed:
        return {}
    across = Axis.of(x, [_displayed(point, x) for point in framed], LEFT, RIGHT)
    down = Axis.of(y, [_displayed(point, y) for point in framed], BOTTOM, TOP)
    points = [p for p in placed if across.has(_displayed(p, x)) and down.has(_displayed(p, y))]
    at = {point.trial: (across.at(_displayed(point, x)), down.at(_displayed(point, y))) for point in points}
    plain = staircase(points, x, y, axis_directions(front.searched))
    if x == TRIAL_AXIS:
        plain = tuple(point.trial for point in points if point.group == "front")
    is_level_first = x != TRIAL_AXIS and front.searched.objectives[1].direction == "minimize"
    order = sorted(points, key=lambda point: (point.trial == chosen, point.group == "front", point.is_feasible))
    ties = [(at[p.trial], at[other]) for p in points for other in p.ties if other in at and p.trial < other]
    return {
        "axes": {
            name: {"label": axis_label(axis.name), "ticks": [(axis.at(tick), f"{tick:g}") for tick in axis.ticks()]}
            for name, axis in (("x", across), ("y", down))
        },
        "legend": _legend(points, plain, chosen),
        "steps": "" if x == TRIAL_AXIS else _steps(sorted(at[trial] for trial in plain if trial in at), is_level_first),
        "ties": [f"M{one[0]} {one[1]}L{other[0]} {other[1]}" for one, other in ties],
        "marks": [
            {
                "trial": point.trial,
                "kind": _kind(point, plain),
                "x": at[point.trial][0],
                "y": at[point.trial][1],
                "title": _words(point),
                "is_baseline": point.is_baseline,
                "bars": _bars(point, across, down) if point.trial == chosen or point.group in ("front", "near") else "",
            }
            for point in order
        ],
    }


def _displayed(point: Point, axis: str) -> float:
    """Return a point's displayed value on an axis; the point must have one."""
    value = point.value(axis)
    assert value is not None
    return value * scale_of(axis)


def _kind(point: Point, plain: Collection[int]) -> str:
    """Return the kind of a point's mark; `plain` are the trials on the step line."""
    return "other" if point.group == "front" and point.trial not in plain else point.group


def _legend(points: Sequence[Point], plain: Collection[int], chosen: int) -> list[tuple[str, str, float]]:
    """Return (kind, words, position) of each kind of mark in the picture."""
    found = {_kind(point, plain) for point in points if point.trial != chosen}
    found |= {"baseline"} if any(point.is_baseline for point in points) else set()
    entries, across = [], float(LEFT) + 6
    for kind, words in _LEGEND.items():
        if kind in found:
            entries.append((kind, words, round(across, 1)))
            across += 30 + 6.5 * len(words)
    return entries


def _steps(places: Sequence[tuple[float, float]], is_level_first: bool) -> str:
    """Return the step line through `places`, from left to right, none of which dominates another."""
    if len(places) < 2:
        return ""
    (across, down), *others = places
    path = f"M{across} {down}"
    for right, level in others:
        path += f"H{right}V{level}" if is_level_first else f"V{level}H{right}"
    return path


def _words(point: Point) -> str:
    """Return `trial 3, on the front with 97 %`, with the reason if it is infeasible or invalid."""
    words = f"trial {point.trial}"
    if not point.is_feasible:
        return f"{words}, {point.group}: {point.reason}"
    return words if point.probability is None else f"{words}, on the front with {share_text(point.probability)}"


def _bars(point: Point, across: Axis, down: Axis) -> str:
    """Return the 95 % intervals, clipped at the frame."""
    path = ""
    for axis, other in ((across, down), (down, across)):
        measured = point.metrics.get(axis.name)
        if measured is not None and measured.low is not None and measured.high is not None:
            low, high = (axis.at(end * scale_of(axis.name)) for end in (measured.low, measured.high))
            level = other.at(_displayed(point, other.name))
            path += f"M{low} {level}H{high}" if axis is across else f"M{level} {low}V{high}"
    return path
