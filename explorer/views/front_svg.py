"""The front as a small picture of its own: SVG without scripts, for a bundle's card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from explorer.pareto.front import front_mask
from explorer.study.front import front_summary
from explorer.study.result import StudyResult
from explorer.views.points import TRIAL_AXIS, Point, measured_points
from explorer.views.theme import FAINT, FRONT, GRID, INK, KNEE, LINE, axis_label, is_wide_span
from explorer.views.wording import one_line, scale_of

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 52


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values of a metric, in the units that it is shown in, to pixels from `start` to `end`."""

    name: str
    low: float
    high: float
    is_log: bool
    start: float
    end: float

    @classmethod
    def of(cls, name: str, values: Sequence[float], start: float, end: float) -> _Axis:
        is_log = is_wide_span(values)
        low, high = min(values), max(values)
        if is_log:
            return cls(name, low / 1.15, high * 1.15, is_log, start, end)
        margin = (high - low or abs(high) or 1.0) * 0.06
        return cls(name, low - margin, high + margin, is_log, start, end)

    def at(self, value: float) -> float:
        low, high, here = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (here - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round numbers: 1, 2 and 5 of each decade, or steps of such a number."""
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            return [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= m * 10.0**d <= self.high]
        rough = (self.high - self.low) / 6
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
        return [i * step for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def front_svg(result: StudyResult, chosen: int) -> str:
    """Every feasible trial in the first two objectives, the front as a step line, and the chosen trial marked.

    With one objective, the trials stand in their order. Points that are on the front through a third objective only are
    hollow, and the step line passes them by.
    """
    metrics = [objective.metric for objective in result.objectives]
    y_name, x_name = metrics[0], metrics[1] if len(metrics) > 1 else TRIAL_AXIS
    everything = measured_points(result, front_summary(result))
    points = [
        point
        for point in everything
        if (point.group != "infeasible" or point.trial == chosen)
        and point.value(x_name) is not None
        and point.value(y_name) is not None
    ]
    if not points:
        return _page(result, [])
    x = _Axis.of(x_name, [_shown(point, x_name) for point in points], _LEFT, _WIDTH - _RIGHT)
    y = _Axis.of(y_name, [_shown(point, y_name) for point in points], _HEIGHT - _BOTTOM, _TOP)
    plain = _projected(result, points, x, y)
    steps = _steps(result, [point for point in points if point.trial in plain], x, y)
    order = sorted(points, key=lambda point: (point.trial == chosen, point.group == "front"))
    drawn = [*_grid(x, y), steps, *(_mark(point, x, y, chosen, point.trial in plain) for point in order)]
    return _page(result, [part for part in drawn if part])


def _shown(point: Point, axis: str) -> float:
    value = point.value(axis)
    assert value is not None
    return value * scale_of(axis)


def _grid(x: _Axis, y: _Axis) -> list[str]:
    lines = []
    for tick in x.ticks():
        place = f"{x.at(tick):.1f}"
        lines.append(f'<path d="M{place} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="{GRID}"/>')
        lines.append(f'<text x="{place}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    for tick in y.ticks():
        place = f"{y.at(tick):.1f}"
        lines.append(f'<path d="M{_LEFT} {place}H{_WIDTH - _RIGHT}" stroke="{GRID}"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{place}" dy="4" text-anchor="end">{tick:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(axis_label(x.name))}</text>')
    height = (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = f'transform="rotate(-90 16 {height})" text-anchor="middle"'
    lines.append(f'<text x="16" y="{height}" {turned}>{escape(axis_label(y.name))}</text>')
    return lines


def _projected(result: StudyResult, points: Sequence[Point], x: _Axis, y: _Axis) -> frozenset[int]:
    """The trials that no other of `points` dominates in the two objectives of the picture."""
    if x.name == TRIAL_AXIS:
        return frozenset(point.trial for point in points if point.group == "front")
    candidates = [point for point in points if point.group != "infeasible"]
    values = np.array([[_shown(point, y.name), _shown(point, x.name)] for point in candidates]).reshape(-1, 2)
    mask = front_mask(values, tuple(objective.direction for objective in result.objectives[:2]))
    return frozenset(point.trial for point, is_member in zip(candidates, mask, strict=True) if is_member)


def _steps(result: StudyResult, points: Sequence[Point], x: _Axis, y: _Axis) -> str:
    """The points, none of which dominates another, joined by level and upright lines; nothing for a lone objective."""
    if x.name == TRIAL_AXIS or len(points) < 2:
        return ""
    members = sorted(points, key=lambda point: _shown(point, x.name))
    places = [(x.at(_shown(point, x.name)), y.at(_shown(point, y.name))) for point in members]
    is_level_first = result.objectives[1].direction == "minimize"
    path = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
    for right, level in places[1:]:
        path += f"H{right:.1f}V{level:.1f}" if is_level_first else f"V{level:.1f}H{right:.1f}"
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'


def _mark(point: Point, x: _Axis, y: _Axis, chosen: int, is_plain: bool) -> str:
    across, down = f"{x.at(_shown(point, x.name)):.1f}", f"{y.at(_shown(point, y.name)):.1f}"
    if point.trial == chosen:
        ring = f'<circle cx="{across}" cy="{down}" r="10" fill="none" stroke="{KNEE}" stroke-width="2.5"/>'
        dot = f'<circle cx="{across}" cy="{down}" r="5" fill="{KNEE}"/>'
        is_right = float(across) > _WIDTH - 110
        place = f'x="{float(across) + (-16 if is_right else 16):.1f}" y="{float(down) + 18:.1f}"'
        words = f'<text {place} text-anchor="{"end" if is_right else "start"}" font-weight="600">trial {chosen}</text>'
        return ring + dot + words
    if point.group != "front":
        look = f'r="3.5" fill="{FAINT}"'
    else:
        look = f'r="5" fill="{FRONT if is_plain else "white"}" stroke="{FRONT}" stroke-width="1.5"'
    return f'<circle cx="{across}" cy="{down}" {look}><title>trial {point.trial}</title></circle>'


def _page(result: StudyResult, parts: Sequence[str]) -> str:
    title = f"front of {one_line(result.name)}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            f'<text x="{_LEFT}" y="20" font-weight="600">{escape(title)}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )
