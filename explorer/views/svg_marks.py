"""Marks of the front's SVG picture: where a trial stands, how it looks, and what each look means."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

from explorer.views.points import Point
from explorer.views.theme import FAINT, FRONT, INK, KNEE, is_wide_span
from explorer.views.wording import scale_of, share_text

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 52, 52


@dataclass(frozen=True, slots=True)
class Axis:
    """Values of a metric, in the units that it is shown in, to pixels from `start` to `end`."""

    name: str
    low: float
    high: float
    is_log: bool
    start: float
    end: float

    @classmethod
    def of(cls, name: str, values: Sequence[float], start: float, end: float) -> Axis:
        """An axis that holds all of `values`, with a little room; in logarithms where they span much."""
        is_log = is_wide_span(values)
        low, high = min(values), max(values)
        if is_log:
            return cls(name, low / 1.15, high * 1.15, is_log, start, end)
        margin = (high - low or abs(high) or 1.0) * 0.06
        return cls(name, low - margin, high + margin, is_log, start, end)

    def has(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high

    def at(self, value: float) -> float:
        """Where a value lies, in pixels."""
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


@dataclass(frozen=True, slots=True)
class Place:
    """The two axes of the picture."""

    x: Axis
    y: Axis

    def of(self, point: Point) -> tuple[float, float]:
        """Where a point stands, in pixels."""
        return self.x.at(shown(point, self.x.name)), self.y.at(shown(point, self.y.name))


def shown(point: Point, axis: str) -> float:
    """A point's value on an axis, which it must know, in the units that it is shown in."""
    value = point.value(axis)
    assert value is not None
    return value * scale_of(axis)


def mark(point: Point, place: Place, chosen: int, is_plain: bool) -> str:
    """A trial as SVG, with its 95 % intervals where it is on the front, near it or chosen; `is_plain`: on the line."""
    across, down = place.of(point)
    title = f"<title>{escape(_words(point))}</title>"
    square = ""
    if point.is_baseline:
        square = f'<rect x="{across - 8:.1f}" y="{down - 8:.1f}" width="16" height="16" fill="none" stroke="{INK}"/>'
    bars = _bars(point, place) if point.trial == chosen or point.group in ("front", "near") else ""
    if point.trial == chosen:
        return bars + _chosen(point.trial, across, down) + square
    look = _look(point.group, is_plain)
    if point.group in ("infeasible", "invalid"):
        return f'<g transform="translate({across:.1f} {down:.1f})">{title}<path {look}/></g>{square}'
    return f'{bars}<circle cx="{across:.1f}" cy="{down:.1f}" {look}>{title}</circle>{square}'


def legend(points: Sequence[Point], plain: Collection[int], chosen: int) -> list[str]:
    """What each mark that is in the picture means, in a line below the title."""
    others = [point for point in points if point.trial != chosen]
    groups = {point.group for point in others}
    kinds = [
        ("front", True, any(p.group == "front" and p.trial in plain for p in others), "front"),
        ("front", False, any(p.group == "front" and p.trial not in plain for p in others), "through another objective"),
        ("near", True, "near" in groups, "near it"),
        ("feasible", True, "feasible" in groups, "feasible"),
        ("infeasible", True, "infeasible" in groups, "infeasible"),
        ("invalid", True, "invalid" in groups, "invalid"),
    ]
    drawn, across = [], float(LEFT) + 6
    for group, is_plain, is_there, words in kinds:
        if not is_there:
            continue
        look = _look(group, is_plain)
        if group in ("infeasible", "invalid"):
            drawn.append(f'<path transform="translate({across:.0f} 38)" {look}/>')
        else:
            drawn.append(f'<circle cx="{across:.0f}" cy="38" {look}/>')
        drawn.append(f'<text x="{across + 10:.0f}" y="42" font-size="11.5">{words}</text>')
        across += 30 + 6.5 * len(words)
    if any(point.is_baseline for point in points):
        drawn.append(f'<rect x="{across - 5:.0f}" y="33" width="10" height="10" fill="none" stroke="{INK}"/>')
        drawn.append(f'<text x="{across + 10:.0f}" y="42" font-size="11.5">baseline</text>')
    return drawn


def _look(group: str, is_plain: bool) -> str:
    if group == "infeasible":
        return f'd="M-3 -3L3 3M3 -3L-3 3" stroke="{FAINT}" stroke-width="1.4"'
    if group == "invalid":
        return f'd="M0 -4.5L4.5 0L0 4.5L-4.5 0Z" fill="none" stroke="{FAINT}" stroke-width="1.4"'
    if group == "front":
        return f'r="5" fill="{FRONT if is_plain else "white"}" stroke="{FRONT}" stroke-width="1.5"'
    if group == "near":
        return f'r="4.5" fill="white" stroke="{FRONT}" stroke-width="1.3" stroke-dasharray="2 2"'
    return f'r="3.5" fill="{FAINT}"'


def _words(point: Point) -> str:
    """`trial 3, on the front with 97 %`, and why it does not count."""
    words = f"trial {point.trial}"
    if point.group in ("infeasible", "invalid"):
        return f"{words}, {point.group}: {point.reason}"
    return words if point.probability is None else f"{words}, on the front with {share_text(point.probability)}"


def _chosen(trial: int, across: float, down: float) -> str:
    ring = f'<circle cx="{across:.1f}" cy="{down:.1f}" r="10" fill="none" stroke="{KNEE}" stroke-width="2.5"/>'
    dot = f'<circle cx="{across:.1f}" cy="{down:.1f}" r="5" fill="{KNEE}"/>'
    is_right = across > WIDTH - 110
    place = f'x="{across + (-16 if is_right else 16):.1f}" y="{down + 18:.1f}"'
    side = "end" if is_right else "start"
    return f'{ring}{dot}<text {place} text-anchor="{side}" font-weight="600">trial {trial}</text>'


def _bars(point: Point, place: Place) -> str:
    """The 95 % intervals, cut off at the frame."""
    across, down = place.of(point)
    path = ""
    for axis, is_level in ((place.x, True), (place.y, False)):
        measured = point.metrics.get(axis.name)
        if measured is None or measured.low is None or measured.high is None:
            continue
        ends = [
            axis.at(min(axis.high, max(axis.low, end * scale_of(axis.name)))) for end in (measured.low, measured.high)
        ]
        path += f"M{ends[0]:.1f} {down:.1f}H{ends[1]:.1f}" if is_level else f"M{across:.1f} {ends[0]:.1f}V{ends[1]:.1f}"
    return f'<path d="{path}" fill="none" stroke="{FAINT}" stroke-width="1.2"/>' if path else ""
