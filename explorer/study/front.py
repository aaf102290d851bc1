"""FrontSummary: the front of a study's feasible trials, its knee and its hypervolume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import UsageError
from explorer.objectives import Constraint, Direction, Objective
from explorer.pareto.front import front_mask
from explorer.pareto.hypervolume import hypervolume, hypervolume_ratio, ideal_point
from explorer.pareto.knee import knee_index
from explorer.study.result import StudyResult, TrialRecord


@dataclass(frozen=True, slots=True)
class FrontEntry:
    """A trial of the front. `ratio_to_baseline` is, a metric, its value divided by the baseline's."""

    trial: TrialRecord
    is_knee: bool
    ratio_to_baseline: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The entry as `explore front --json` prints it."""
        return {
            "trial": self.trial.number,
            "variant": self.trial.variant.to_json(),
            "metrics": {name: measurement.to_json() for name, measurement in self.trial.outcome.metrics.items()},
            "feasible": self.trial.is_feasible,
            "knee": self.is_knee,
            "ratio_to_baseline": dict(self.ratio_to_baseline),
            "artifact": self.trial.outcome.artifact,
        }


@dataclass(frozen=True, slots=True)
class FrontSummary:
    """The front of a study, best in the first objective first.

    `hypervolume` is None without a reference point; `hypervolume_ratio`, its share of the box between the reference
    and the ideal, is None also when no ideal exists. `where` are the constraints beyond the study's own.
    `n_complete` counts the trials that satisfy the study's constraints, `n_infeasible` those that do not.
    """

    study: str
    objectives: tuple[Objective, ...]
    where: tuple[Constraint, ...]
    reference_point: Mapping[str, float] | None
    hypervolume: float | None
    hypervolume_ratio: float | None
    n_complete: int
    n_infeasible: int
    n_failed: int
    entries: tuple[FrontEntry, ...]

    @property
    def knee(self) -> FrontEntry | None:
        """The entry that is the knee; None for an empty front."""
        return next((entry for entry in self.entries if entry.is_knee), None)

    def to_json(self) -> dict[str, Any]:
        """What `explore front --json` prints."""
        return {
            "study": self.study,
            "objectives": [{"metric": o.metric, "direction": o.direction} for o in self.objectives],
            "reference_point": None if self.reference_point is None else dict(self.reference_point),
            "hypervolume": self.hypervolume,
            "trials": {"complete": self.n_complete, "infeasible": self.n_infeasible, "failed": self.n_failed},
            "front": [entry.to_json() for entry in self.entries],
        }


def directions_of(result: StudyResult) -> tuple[Direction, ...]:
    """The direction of each objective."""
    return tuple(objective.direction for objective in result.objectives)


def feasible_trials(result: StudyResult, where: Sequence[Constraint] = ()) -> tuple[TrialRecord, ...]:
    """The trials that satisfy the study's constraints and those of `where`, and that know every objective.

    Raises UsageError for a bound relative to a baseline that the study does not have.
    """
    baseline = result.baseline_values()
    wanted = {objective.metric for objective in result.objectives}
    kept = []
    for trial in result.trials:
        values = trial.values() if trial.is_feasible else {}
        if wanted <= values.keys() and all(_violation(bound, values, baseline) <= 0 for bound in where):
            kept.append(trial)
    return tuple(kept)


def objective_points(result: StudyResult, trials: Sequence[TrialRecord]) -> NDArray[np.float64]:
    """The objectives [n, m] of `trials`, each of which must know all of them, in the metrics' own units."""
    metrics = [objective.metric for objective in result.objectives]
    rows = [[trial.outcome.metrics[metric].value for metric in metrics] for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(metrics))


def front_summary(result: StudyResult, where: Sequence[Constraint] = ()) -> FrontSummary:
    """The front of the feasible trials that also satisfy `where`; knee and hypervolume are of that front.

    Raises UsageError for a bound relative to a baseline that the study does not have, ValueError for NaN objectives.
    """
    directions = directions_of(result)
    candidates = feasible_trials(result, where)
    points = objective_points(result, candidates)
    mask = front_mask(points, directions)
    members = [trial for trial, is_member in zip(candidates, mask, strict=True) if is_member]
    knee = knee_index(points[mask], directions)
    baseline = result.baseline_values()
    entries = [FrontEntry(trial, index == knee, ratios(trial, baseline)) for index, trial in enumerate(members)]
    turn = -1.0 if directions[0] == "maximize" else 1.0
    first = result.objectives[0].metric
    volume, share = _volumes(result, points[mask])
    states = [trial.state for trial in result.trials]
    return FrontSummary(
        study=result.name,
        objectives=result.objectives,
        where=tuple(where),
        reference_point=result.reference_point,
        hypervolume=volume,
        hypervolume_ratio=share,
        n_complete=states.count("complete"),
        n_infeasible=states.count("infeasible"),
        n_failed=states.count("failed"),
        entries=tuple(sorted(entries, key=lambda e: (turn * e.trial.values()[first], e.trial.number))),
    )


def ratios(trial: TrialRecord, baseline: Mapping[str, float]) -> dict[str, float]:
    """Each known metric of `trial` divided by the baseline's, where that is known and not 0."""
    return {name: value / baseline[name] for name, value in trial.values().items() if baseline.get(name)}


def _volumes(result: StudyResult, front: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The hypervolume, and its share of the box between reference and ideal."""
    if result.reference_point is None:
        return None, None
    directions = directions_of(result)
    reference = [result.reference_point[objective.metric] for objective in result.objectives]
    volume = hypervolume(front, directions, reference)
    ideal = ideal_point(result.objectives)
    if ideal is None:
        return volume, None
    corner = [ideal[objective.metric] for objective in result.objectives]
    return volume, hypervolume_ratio(front, directions, reference, corner)


def _violation(bound: Constraint, values: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """How far `values` is beyond `bound`; a relative bound without a baseline is the caller's mistake."""
    if bound.is_relative and bound.metric not in baseline:
        raise UsageError(
            f"`{bound}` needs the baseline's {bound.metric}, but trial 0 has none: give the bound as a number"
        )
    return bound.violation(values, baseline)
