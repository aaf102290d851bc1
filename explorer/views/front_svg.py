"""The front as a small picture of its own: SVG without scripts, for a bundle's card."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from explorer.pareto.front import front_mask
from explorer.study.front import front_summary
from explorer.study.result import StudyResult
from explorer.views.points import TRIAL_AXIS, Point, measured_points
from explorer.views.svg_marks import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Place, legend, mark, shown
from explorer.views.theme import GRID, INK, LINE, axis_label
from explorer.views.wording import one_line


def front_svg(result: StudyResult, chosen: int) -> str:
    """Every measured trial in the first two objectives, the front as a step line, and the chosen trial marked.

    With one objective, the trials stand in their order. Points that are on the front through a third objective only are
    hollow, and the step line passes them by. Of a confirmed front the values are the confirmed ones. The frame is that
    of the feasible trials: what breaks a constraint, or has no valid measurement, may lie outside.
    """
    metrics = [objective.metric for objective in result.objectives]
    y_name, x_name = metrics[0], metrics[1] if len(metrics) > 1 else TRIAL_AXIS
    everything = measured_points(result, front_summary(result))
    placed = [point for point in everything if point.value(x_name) is not None and point.value(y_name) is not None]
    framed = [point for point in placed if point.is_feasible or point.trial == chosen]
    if not framed:
        return _page(result, [])
    x = Axis.of(x_name, [shown(point, x_name) for point in framed], LEFT, WIDTH - RIGHT)
    y = Axis.of(y_name, [shown(point, y_name) for point in framed], HEIGHT - BOTTOM, TOP)
    points = [point for point in placed if x.has(shown(point, x_name)) and y.has(shown(point, y_name))]
    plain = _projected(result, points, x, y)
    steps = _steps(result, [point for point in points if point.trial in plain], x, y)
    order = sorted(points, key=lambda point: (point.trial == chosen, point.group == "front", point.is_feasible))
    drawn = [*_grid(x, y), steps, *_links(points, x, y)]
    drawn += [mark(point, Place(x, y), chosen, point.trial in plain) for point in order]
    return _page(result, [*legend(points, plain, chosen), *(part for part in drawn if part)])


def _grid(x: Axis, y: Axis) -> list[str]:
    lines = []
    for tick in x.ticks():
        place = f"{x.at(tick):.1f}"
        lines.append(f'<path d="M{place} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        lines.append(f'<text x="{place}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    for tick in y.ticks():
        place = f"{y.at(tick):.1f}"
        lines.append(f'<path d="M{LEFT} {place}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{place}" dy="4" text-anchor="end">{tick:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(axis_label(x.name))}</text>')
    height = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 16 {height})" text-anchor="middle"'
    lines.append(f'<text x="16" y="{height}" {turned}>{escape(axis_label(y.name))}</text>')
    return lines


def _projected(result: StudyResult, points: Sequence[Point], x: Axis, y: Axis) -> frozenset[int]:
    """The candidates that no other of `points` dominates in the two objectives of the picture."""
    if x.name == TRIAL_AXIS:
        return frozenset(point.trial for point in points if point.group == "front")
    candidates = [point for point in points if point.is_candidate]
    values = np.array([[shown(point, y.name), shown(point, x.name)] for point in candidates]).reshape(-1, 2)
    mask = front_mask(values, tuple(objective.direction for objective in result.objectives[:2]))
    return frozenset(point.trial for point, is_member in zip(candidates, mask, strict=True) if is_member)


def _steps(result: StudyResult, points: Sequence[Point], x: Axis, y: Axis) -> str:
    """The points, none of which dominates another, joined by level and upright lines; nothing for a lone objective."""
    if x.name == TRIAL_AXIS or len(points) < 2:
        return ""
    members = sorted(points, key=lambda point: shown(point, x.name))
    places = [(x.at(shown(point, x.name)), y.at(shown(point, y.name))) for point in members]
    is_level_first = result.objectives[1].direction == "minimize"
    path = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
    for right, level in places[1:]:
        path += f"H{right:.1f}V{level:.1f}" if is_level_first else f"V{level:.1f}H{right:.1f}"
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'


def _links(points: Sequence[Point], x: Axis, y: Axis) -> list[str]:
    """A dotted line between every two points that cannot be told apart in any objective."""
    at = {point.trial: (x.at(shown(point, x.name)), y.at(shown(point, y.name))) for point in points}
    pairs = [(at[p.trial], at[other]) for p in points for other in p.ties if other in at and p.trial < other]
    look = f'stroke="{LINE}" stroke-width="1.6" stroke-dasharray="2 3"'
    return [f'<path d="M{one[0]:.1f} {one[1]:.1f}L{other[0]:.1f} {other[1]:.1f}" {look}/>' for one, other in pairs]


def _page(result: StudyResult, parts: Sequence[str]) -> str:
    title = f"front of {one_line(result.name)}"
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
