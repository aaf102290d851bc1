"""Points, axes and colors: the measured trials of a study as every picture of it draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from explorer.metrics import Direction
from explorer.pareto.front import front_mask
from explorer.records import Measurement
from explorer.study.front import FrontView, Standing
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.formatting import better_direction, metric_label, one_line

Group = Literal["front", "near", "feasible", "infeasible", "invalid"]
"""Near: a finalist that is off the confirmed front and may belong to it."""

# The axis that is no metric: the trial's number, for studies with one objective.
TRIAL_AXIS = "trial"

# Okabe & Ito (2008): colors that can be told apart without red and green.
INK, GRID, FAINT, LINE = "#1f2933", "#e8ecf1", "#b3bcc8", "#52606d"
KNEE, FRONT = "#d55e00", "#0072b2"
# An axis whose values span more than this is logarithmic.
_LOG_SPAN = 8.0


@dataclass(frozen=True, slots=True)
class Point:
    """A measured trial as a picture needs it. `reason` is why it is infeasible or invalid, in plain text.

    `is_candidate`: it is feasible, and confirmed where the front is confirmed. `probability` of being on the front and
    `ties` are those of a confirmed front.
    """

    trial: int
    group: Group
    is_knee: bool
    is_baseline: bool
    metrics: Mapping[str, Measurement]
    reason: str = ""
    is_candidate: bool = True
    probability: float | None = None
    ties: tuple[int, ...] = ()

    @property
    def is_feasible(self) -> bool:
        """Whether it has a valid result that satisfies the constraints."""
        return self.group not in ("infeasible", "invalid")

    def value(self, axis: str) -> float | None:
        """Return a metric's value in its unit, or the trial's number for TRIAL_AXIS; None when it is not known."""
        if axis == TRIAL_AXIS:
            return float(self.trial)
        return self.metrics[axis].value if axis in self.metrics else None


def measured_points(front: FrontView) -> tuple[Point, ...]:
    """Return every trial that has metrics, with the front's values."""
    entries, candidates = {entry.trial.number: entry for entry in front.entries}, front.candidates

    def point(trial: TrialRecord) -> Point:
        entry, standing = entries.get(trial.number), front.standings.get(trial.number, Standing())
        return Point(
            trial=trial.number,
            group=_group(trial, entry is not None, standing),
            is_knee=entry is not None and entry.is_knee,
            is_baseline=trial.number == 0,
            metrics=trial.outcome.metrics,
            reason=one_line("; ".join(trial.outcome.invalid) or ", ".join(f"not {b}" for b in trial.broken())),
            is_candidate=trial.number in candidates,
            probability=standing.probability,
            ties=standing.ties,
        )

    return tuple(point(trial) for trial in front.result.trials if trial.outcome.metrics)


def _group(trial: TrialRecord, is_on_front: bool, standing: Standing) -> Group:
    if is_on_front:
        return "front"
    if trial.is_feasible:
        return "near" if standing.is_near else "feasible"
    return "invalid" if trial.state == "invalid" else "infeasible"


def usual_axes(result: StudyResult) -> tuple[str, str, str | None]:
    """Return x, y and the metric of the color with which a study is first drawn.

    y is the main quality metric (else the first objective), x latency (else another objective, else the trial's
    number), and the color a third objective, if there is one.
    """
    names, quality = [objective.metric for objective in result.objectives], result.task.main_metric.name
    y = quality if quality in names else names[0]
    others = [name for name in names if name != y]
    x = "latency_ms" if "latency_ms" in others else (others or [TRIAL_AXIS])[0]
    return x, y, next((name for name in others if name != x), None)


def axis_directions(result: StudyResult) -> dict[str, Direction]:
    """Return the better direction of each metric, of an objective its own; the trial's number is minimized."""
    directions: dict[str, Direction] = {name: better_direction(name) for name in result.metric_names()}
    directions |= {objective.metric: objective.direction for objective in result.objectives}
    return directions | {TRIAL_AXIS: "minimize"}


def staircase(points: Sequence[Point], x: str, y: str, directions: Mapping[str, Direction]) -> tuple[int, ...]:
    """Return the numbers of the candidates that no other dominates in x and y alone, in ascending order of x."""
    places = [(p.value(x), p.value(y), p.trial) for p in points if p.is_candidate]
    known = [(px, py, trial) for px, py, trial in places if px is not None and py is not None]
    values = np.array([place[:2] for place in known], dtype=np.float64).reshape(-1, 2)
    mask = front_mask(values, [directions[x], directions[y]])
    return tuple(trial for _, _, trial in sorted(place for place, kept in zip(known, mask, strict=True) if kept))


def axis_label(axis: str) -> str:
    """Return the title of an axis with its unit."""
    return "trial" if axis == TRIAL_AXIS else metric_label(axis)


def is_wide_span(values: Sequence[float | None]) -> bool:
    """Return whether an axis of `values` is logarithmic; never with zeros or negative ones."""
    known = [value for value in values if value is not None]
    return bool(known) and min(known) > 0 and max(known) / min(known) > _LOG_SPAN
