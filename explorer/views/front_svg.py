"""The front as an SVG picture without scripts, for a bundle's model card."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

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
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 52, 52


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
        """Return the position of a value in pixels."""
        low, high, here = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (here - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return ticks: 1, 2 and 5 of each decade on a logarithmic axis, else multiples of such a number."""
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            return [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= m * 10.0**d <= self.high]
        rough = (self.high - self.low) / 6
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
        return [i * step for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


@dataclass(frozen=True, slots=True)
class Frame:
    """The two axes of the picture."""

    x: Axis
    y: Axis

    def of(self, point: Point) -> tuple[float, float]:
        """Return the position of a point in pixels."""
        return self.x.at(_scaled(point, self.x.name)), self.y.at(_scaled(point, self.y.name))

    def has(self, point: Point) -> bool:
        """Return whether a point lies inside."""
        return self.x.has(_scaled(point, self.x.name)) and self.y.has(_scaled(point, self.y.name))


def front_svg(front: FrontView, chosen: int) -> str:
    """Return an SVG of every measured trial in the first two objectives, with a step line and the chosen trial marked.

    With one objective, x is the trial's number. Points that are on the front only through another objective are hollow
    and not on the step line. A confirmed front has confirmed values. The frame encloses the feasible trials; infeasible
    and invalid ones may lie outside.
    """
    metrics = [objective.metric for objective in front.searched.objectives]
    y, x = metrics[0], metrics[1] if len(metrics) > 1 else TRIAL_AXIS
    placed = [p for p in measured_points(front) if p.value(x) is not None and p.value(y) is not None]
    framed = [point for point in placed if point.is_feasible or point.trial == chosen]
    title = f"front of {one_line(front.searched.name)}"
    if not framed:
        return _page(title, [])
    frame = Frame(
        Axis.of(x, [_scaled(point, x) for point in framed], LEFT, WIDTH - RIGHT),
        Axis.of(y, [_scaled(point, y) for point in framed], HEIGHT - BOTTOM, TOP),
    )
    points = [point for point in placed if frame.has(point)]
    plain = staircase(points, x, y, axis_directions(front.searched))
    if x == TRIAL_AXIS:
        plain = tuple(point.trial for point in points if point.group == "front")
    steps = [] if x == TRIAL_AXIS else [point for point in points if point.trial in plain]
    is_level_first = x != TRIAL_AXIS and front.searched.objectives[1].direction == "minimize"
    order = sorted(points, key=lambda point: (point.trial == chosen, point.group == "front", point.is_feasible))
    return _page(
        title,
        [
            *_legend(points, plain, chosen),
            *_grid(frame),
            *_steps(steps, frame, is_level_first),
            *_links(points, frame),
            *(_mark(point, frame, chosen, point.trial in plain) for point in order),
        ],
    )


def _page(title: str, parts: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            f'<text x="{LEFT}" y="20" font-weight="600">{escape(title)}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _scaled(point: Point, axis: str) -> float:
    """Return a point's displayed value on an axis; the point must have one."""
    value = point.value(axis)
    assert value is not None
    return value * scale_of(axis)


def _grid(frame: Frame) -> list[str]:
    lines, bottom = [], HEIGHT - BOTTOM
    for tick in frame.x.ticks():
        at = f"{frame.x.at(tick):.1f}"
        lines.append(f'<path d="M{at} {TOP}V{bottom}" stroke="{GRID}"/>')
        lines.append(f'<text x="{at}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    for tick in frame.y.ticks():
        at = f"{frame.y.at(tick):.1f}"
        lines.append(f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{at}" dy="4" text-anchor="end">{tick:g}</text>')
    across, down = (LEFT + WIDTH - RIGHT) / 2, (TOP + bottom) / 2
    names = [escape(axis_label(axis.name)) for axis in (frame.x, frame.y)]
    lines.append(f'<text x="{across}" y="{HEIGHT - 10}" text-anchor="middle">{names[0]}</text>')
    turned = f'transform="rotate(-90 16 {down})" text-anchor="middle"'
    return [*lines, f'<text x="16" y="{down}" {turned}>{names[1]}</text>']


def _steps(points: Sequence[Point], frame: Frame, is_level_first: bool) -> list[str]:
    """Return the step line through `points`, none of which dominates another."""
    if len(points) < 2:
        return []
    (across, down), *others = [frame.of(point) for point in sorted(points, key=lambda p: _scaled(p, frame.x.name))]
    path = f"M{across:.1f} {down:.1f}"
    for right, level in others:
        path += f"H{right:.1f}V{level:.1f}" if is_level_first else f"V{level:.1f}H{right:.1f}"
    return [f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>']


def _links(points: Sequence[Point], frame: Frame) -> list[str]:
    """Return a dotted line between every two points that are tied in all objectives."""
    at = {point.trial: frame.of(point) for point in points}
    pairs = [(at[p.trial], at[other]) for p in points for other in p.ties if other in at and p.trial < other]
    look = f'stroke="{LINE}" stroke-width="1.6" stroke-dasharray="2 3"'
    return [f'<path d="M{one[0]:.1f} {one[1]:.1f}L{other[0]:.1f} {other[1]:.1f}" {look}/>' for one, other in pairs]


def _mark(point: Point, frame: Frame, chosen: int, is_plain: bool) -> str:
    """Return a trial as SVG, with intervals if it is chosen, on or near the front; `is_plain`: on the step line."""
    across, down = frame.of(point)
    square = _square(across, down, 16) if point.is_baseline else ""
    bars = _bars(point, frame) if point.trial == chosen or point.group in ("front", "near") else ""
    if point.trial == chosen:
        return bars + _chosen(point.trial, across, down) + square
    title = f"<title>{escape(_words(point))}</title>"
    return bars + _glyph(point.group, is_plain, across, down, title) + square


def _legend(points: Sequence[Point], plain: Collection[int], chosen: int) -> list[str]:
    """Return a line below the title that explains each kind of mark in the picture."""
    found = {(p.group, p.group != "front" or p.trial in plain) for p in points if p.trial != chosen}
    drawn, across = [], float(LEFT) + 6
    for (group, is_plain), words in _KINDS.items():
        if (group, is_plain) in found:
            drawn.append(_glyph(group, is_plain, across, 38))
            drawn.append(f'<text x="{across + 10:.0f}" y="42" font-size="11.5">{words}</text>')
            across += 30 + 6.5 * len(words)
    if any(point.is_baseline for point in points):
        drawn.append(_square(across, 38, 10))
        drawn.append(f'<text x="{across + 10:.0f}" y="42" font-size="11.5">baseline</text>')
    return drawn


_KINDS = {
    ("front", True): "front",
    ("front", False): "through another objective",
    ("near", True): "near it",
    ("feasible", True): "feasible",
    ("infeasible", True): "infeasible",
    ("invalid", True): "invalid",
}


def _glyph(group: str, is_plain: bool, across: float, down: float, title: str = "") -> str:
    """Return the mark of a group; `is_plain`: on the step line."""
    if group in _CROSSES:
        path = f'<path transform="translate({across:.1f} {down:.1f})" d="{_CROSSES[group]}"'
        return f'{path} fill="none" stroke="{FAINT}" stroke-width="1.4">{title}</path>'
    look = {
        "front": f'r="5" fill="{FRONT if is_plain else "white"}" stroke="{FRONT}" stroke-width="1.5"',
        "near": f'r="4.5" fill="white" stroke="{FRONT}" stroke-width="1.3" stroke-dasharray="2 2"',
        "feasible": f'r="3.5" fill="{FAINT}"',
    }[group]
    return f'<circle cx="{across:.1f}" cy="{down:.1f}" {look}>{title}</circle>'


_CROSSES = {"infeasible": "M-3 -3L3 3M3 -3L-3 3", "invalid": "M0 -4.5L4.5 0L0 4.5L-4.5 0Z"}


def _square(across: float, down: float, size: int) -> str:
    """Return the mark of the baseline."""
    at = f'x="{across - size / 2:.1f}" y="{down - size / 2:.1f}"'
    return f'<rect {at} width="{size}" height="{size}" fill="none" stroke="{INK}"/>'


def _words(point: Point) -> str:
    """Return `trial 3, on the front with 97 %`, with the reason if it is infeasible or invalid."""
    words = f"trial {point.trial}"
    if point.group in ("infeasible", "invalid"):
        return f"{words}, {point.group}: {point.reason}"
    return words if point.probability is None else f"{words}, on the front with {share_text(point.probability)}"


def _chosen(trial: int, across: float, down: float) -> str:
    ring = f'<circle cx="{across:.1f}" cy="{down:.1f}" r="10" fill="none" stroke="{KNEE}" stroke-width="2.5"/>'
    dot = f'<circle cx="{across:.1f}" cy="{down:.1f}" r="5" fill="{KNEE}"/>'
    is_right = across > WIDTH - 110
    at = f'x="{across + (-16 if is_right else 16):.1f}" y="{down + 18:.1f}"'
    side = "end" if is_right else "start"
    return f'{ring}{dot}<text {at} text-anchor="{side}" font-weight="600">trial {trial}</text>'


def _bars(point: Point, frame: Frame) -> str:
    """Return the 95 % intervals, clipped at the frame."""
    across, down = frame.of(point)
    path = ""
    for axis, is_level in ((frame.x, True), (frame.y, False)):
        measured = point.metrics.get(axis.name)
        if measured is None or measured.low is None or measured.high is None:
            continue
        scaled = (end * scale_of(axis.name) for end in (measured.low, measured.high))
        low, high = (axis.at(min(axis.high, max(axis.low, end))) for end in scaled)
        path += f"M{low:.1f} {down:.1f}H{high:.1f}" if is_level else f"M{across:.1f} {low:.1f}V{high:.1f}"
    return f'<path d="{path}" fill="none" stroke="{FAINT}" stroke-width="1.2"/>' if path else ""
