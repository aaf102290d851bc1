"""The numbers behind the figures: points, axes, fronts of two metrics, the hypervolume's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.objectives import Direction
from explorer.pareto.front import front_mask
from explorer.pareto.hypervolume import hypervolume, hypervolume_history, ideal_point
from explorer.study.feasibility import directions_of
from explorer.study.front import FrontSummary, front_summary
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.points import TRIAL_AXIS, Point, measured_points
from explorer.views.rows import shown_metrics, varying_parameters
from explorer.views.wording import better_direction, parameter_text


@dataclass(frozen=True, slots=True)
class FrontInfo:
    """Accuracy against latency against cost, or whatever the study's objectives are.

    `color` is None when fewer than three objectives exist. `staircase` has the trials, from left to right, that no
    candidate of the front beats in x and y alone.
    """

    study: str
    x: str
    y: str
    color: str | None
    points: tuple[Point, ...]
    staircase: tuple[int, ...]
    directions: Mapping[str, Direction]


@dataclass(frozen=True, slots=True)
class HistoryInfo:
    """The hypervolume after each trial, as a share of the box between reference and ideal where there is one."""

    trials: tuple[int, ...]
    values: tuple[float, ...]
    is_ratio: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One axis of the parallel coordinates. Words are numbered in order: `ticks` are their names."""

    name: str
    values: tuple[float, ...]
    ticks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParallelInfo:
    """The feasible trials as lines through their parameters and metrics; `is_front` marks those of the front."""

    columns: tuple[Column, ...]
    is_front: tuple[bool, ...]


def front_axes(result: StudyResult) -> tuple[str, str, str | None]:
    """x, y and color of the front: latency, accuracy and what remains, as far as they are objectives."""
    names = [objective.metric for objective in result.objectives]
    y = "accuracy" if "accuracy" in names else names[0]
    others = [name for name in names if name != y]
    x = "latency_ms" if "latency_ms" in others else (others or [TRIAL_AXIS])[0]
    return x, y, next((name for name in others if name != x), None)


def axis_directions(result: StudyResult) -> dict[str, Direction]:
    """The better direction of every axis: an objective's own, else the metric's; early for the trial's number."""
    directions: dict[str, Direction] = {name: better_direction(name) for name in result.metric_names()}
    directions |= {objective.metric: objective.direction for objective in result.objectives}
    return directions | {TRIAL_AXIS: "minimize"}


def front_info(result: StudyResult, summary: FrontSummary | None = None) -> FrontInfo:
    """The study's front in its first two or three objectives, with every other measured trial behind it."""
    summary = summary or front_summary(result)
    x, y, color = front_axes(result)
    points, directions = measured_points(result, summary), axis_directions(result)
    return FrontInfo(result.name, x, y, color, points, staircase(points, x, y, directions), directions)


def staircase(points: Sequence[Point], x: str, y: str, directions: Mapping[str, Direction]) -> tuple[int, ...]:
    """The trials, by x, that no candidate of the front beats in x and y alone."""
    places = [(p.value(x), p.value(y), p.trial) for p in points if p.is_candidate]
    known = [(px, py, trial) for px, py, trial in places if px is not None and py is not None]
    mask = front_mask([[px, py] for px, py, _ in known], [directions[x], directions[y]])
    return tuple(trial for _, _, trial in sorted(place for place, kept in zip(known, mask, strict=True) if kept))


def space_axes(result: StudyResult) -> tuple[str, str, str] | None:
    """Three metrics for the view in space: the objectives, completed by the usual metrics; None if there are fewer."""
    first, second, third = front_axes(result)
    names = [name for name in (first, second, third) if name is not None and name != TRIAL_AXIS]
    names += [name for name in shown_metrics(result) if name not in names]
    return (names[0], names[1], names[2]) if len(names) >= 3 else None


def history_info(result: StudyResult) -> HistoryInfo | None:
    """The hypervolume after each trial, in the order in which they finished; None without a reference point."""
    if result.reference_point is None:
        return None
    names = [objective.metric for objective in result.objectives]
    values = [trial.values() if trial.is_feasible else {} for trial in result.trials]
    is_counted = [all(name in known for name in names) for known in values]
    points = [[known.get(name, np.nan) for name in names] for known in values]
    reference = [result.reference_point[name] for name in names]
    history = hypervolume_history(points, is_counted, directions_of(result), reference)
    ideal = ideal_point(result.objectives)
    box = 0.0 if ideal is None else hypervolume([[ideal[n] for n in names]], directions_of(result), reference)
    scaled = history / box if box > 0 else history
    return HistoryInfo(tuple(trial.number for trial in result.trials), tuple(scaled.tolist()), box > 0)


def parallel_info(result: StudyResult, summary: FrontSummary) -> ParallelInfo | None:
    """The feasible trials that know every shown metric, as lines; None when there are none."""
    metrics = shown_metrics(result)
    trials = [t for t in result.trials if t.is_feasible and all(name in t.values() for name in metrics)]
    if not trials:
        return None
    front = {entry.trial.number for entry in summary.entries}
    columns = [_parameter_column(result, trials, name) for name in varying_parameters(result.space)]
    columns += [Column(name, tuple(trial.values()[name] for trial in trials)) for name in metrics]
    return ParallelInfo(tuple(columns), tuple(trial.number in front for trial in trials))


def _parameter_column(result: StudyResult, trials: Sequence[TrialRecord], name: str) -> Column:
    """A parameter's values: as they are for numbers, else numbered in the order of the space."""
    chosen = [getattr(trial.variant, name) for trial in trials]
    if all(isinstance(value, int | float) for value in chosen):
        return Column(name, tuple(float(value) for value in chosen))
    order = list(
        dict.fromkeys([*map(parameter_text, result.space.parameters[name].values), *map(parameter_text, chosen)])
    )
    return Column(name, tuple(float(order.index(parameter_text(value))) for value in chosen), tuple(order))
