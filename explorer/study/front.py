"""FrontSummary: the front of a study's feasible trials, its knee and its hypervolume.

Where the finalists of a study were confirmed, it is the front of their confirmed values; who is on it, and how
probably, follows from the validation images alone. Accuracy on the test split is stated beside and chooses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.objectives import Constraint, Objective
from explorer.pareto.hypervolume import hypervolume, hypervolume_ratio, ideal_point
from explorer.pareto.knee import knee_index
from explorer.pareto.membership import ties
from explorer.records import Measurement
from explorer.study.confirmed import Unconfirmed, confirmed, confirmed_draws
from explorer.study.feasibility import (
    directions_of,
    drawn_memberships,
    feasible_trials,
    objective_points,
    possible_trials,
    value_front,
    within,
)
from explorer.study.result import StudyResult, TrialRecord

LIKELY = 0.5
"""Knee and best are chosen among the members with at least this probability, where there is one."""

NEAR = 0.05
"""Finalists off the front are stated all the same when they are on it with at least this probability."""


@dataclass(frozen=True, slots=True)
class FrontEntry:
    """A trial of the front, or near it, with the values that the summary shows.

    `ratio_to_baseline` is, a metric, its value divided by the baseline's. Of a confirmed front: `probability` of being
    on it, `ties`, the trials that cannot be told from this one in any objective, and `test_accuracy`.
    """

    trial: TrialRecord
    is_knee: bool
    ratio_to_baseline: Mapping[str, float]
    probability: float | None = None
    ties: tuple[int, ...] = ()
    test_accuracy: Measurement | None = None

    @property
    def is_likely(self) -> bool:
        """Whether its probability, where there is one, is at least LIKELY."""
        return self.probability is None or self.probability >= LIKELY

    def to_json(self) -> dict[str, Any]:
        """The entry as `explore front --json` prints it."""
        return {
            "trial": self.trial.number,
            "variant": self.trial.variant.to_json(),
            "metrics": {name: measurement.to_json() for name, measurement in self.trial.outcome.metrics.items()},
            "feasible": not self.trial.broken(),
            "valid": not self.trial.outcome.invalid,
            "invalid": list(self.trial.outcome.invalid),
            "knee": self.is_knee,
            "probability": self.probability,
            "ties": list(self.ties),
            "test_accuracy": None if self.test_accuracy is None else self.test_accuracy.to_json(),
            "ratio_to_baseline": dict(self.ratio_to_baseline),
            "artifact": self.trial.outcome.artifact,
        }


@dataclass(frozen=True, slots=True)
class FrontSummary:
    """The front of a study, best in the first objective first.

    `hypervolume` is None without a reference point; `hypervolume_ratio`, its share of the box between the reference
    and the ideal, is None also when no ideal exists. `where` are the constraints beyond the study's own.
    `n_complete` counts the trials that satisfy the study's constraints, `n_infeasible` those that do not.
    `is_confirmed`: the values are medians over `n_rounds` rounds in fresh processes, else the search's. `near` are the
    finalists that are not on the front of these values and may belong to it, `unlikely` those that hardly do,
    `unconfirmed` those without such values. `left_out` are the trials that may belong to the front by the search's
    values, and were too many to be measured again.
    `is_stale`: there is a confirmation, of other trials than the study has now; the search's values are shown.
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
    n_invalid: int
    entries: tuple[FrontEntry, ...]
    is_confirmed: bool = False
    is_stale: bool = False
    n_rounds: int = 0
    near: tuple[FrontEntry, ...] = ()
    unlikely: tuple[FrontEntry, ...] = ()
    unconfirmed: tuple[Unconfirmed, ...] = ()
    left_out: tuple[int, ...] = ()

    @property
    def knee(self) -> FrontEntry | None:
        """The entry that is the knee; None for an empty front."""
        return next((entry for entry in self.entries if entry.is_knee), None)

    @property
    def eligible(self) -> tuple[FrontEntry, ...]:
        """The entries that knee and best are chosen among: the likely ones; all where none is."""
        return tuple(entry for entry in self.entries if entry.is_likely) or self.entries

    def to_json(self) -> dict[str, Any]:
        """What `explore front --json` prints."""
        return {
            "study": self.study,
            "objectives": [{"metric": o.metric, "direction": o.direction} for o in self.objectives],
            "reference_point": None if self.reference_point is None else dict(self.reference_point),
            "hypervolume": self.hypervolume,
            "trials": {
                "complete": self.n_complete,
                "infeasible": self.n_infeasible,
                "failed": self.n_failed,
                "invalid": self.n_invalid,
            },
            "confirmed": self.is_confirmed,
            "front": [entry.to_json() for entry in self.entries],
            "near": [entry.to_json() for entry in self.near],
            "unconfirmed": [{"trial": one.trial, "why": one.why} for one in self.unconfirmed],
            "unlikely": [{"trial": one.trial.number, "probability": one.probability} for one in self.unlikely],
            "left_out": list(self.left_out),
        }


def front_summary(
    result: StudyResult,
    where: Sequence[Constraint] = (),
    allow_invalid: bool = False,
    is_search: bool = False,
) -> FrontSummary:
    """The front of the feasible trials that also satisfy `where`; knee and hypervolume are of that front.

    Of a confirmed study, of its finalists with their confirmed values, unless `is_search` asks for the search's;
    `allow_invalid` does too, since what is invalid is no finalist. `where` narrows before probabilities are computed.
    Raises UsageError for a bound relative to a baseline that the study does not have, ValueError for NaN objectives.
    """
    confirmation = result.confirmation
    is_stale = confirmation is not None and confirmation.is_stale(result.trials)
    if confirmation is None or is_stale or is_search or allow_invalid:
        candidates = feasible_trials(result, where, allow_invalid)
        found = _entries(result, candidates, [FrontEntry(t, False, {}) for t in candidates])
        return _summary(result, where, found, is_stale=is_stale)
    shown = confirmed(result, confirmation)
    candidates = within(possible_trials(shown.result), where, shown.result.baseline_values())
    found = _entries(shown.result, candidates, _uncertain(shown.result, candidates))
    left_out = [trial for trial in result.trials if trial.number in confirmation.left_out]
    return _summary(
        result,
        where,
        found,
        is_confirmed=True,
        n_rounds=len(confirmation.rounds),
        unconfirmed=shown.unconfirmed,
        left_out=tuple(trial.number for trial in within(left_out, where, result.baseline_values())),
    )


def memberships(result: StudyResult) -> dict[int, float]:
    """Each finalist's probability of being on the front, by trial; of those whose confirmed values may be feasible.

    Empty without a confirmation.
    """
    if result.confirmation is None:
        return {}
    shown = confirmed(result, result.confirmation).result
    return {one.trial.number: one.probability or 0.0 for one in _uncertain(shown, possible_trials(shown))}


@dataclass(frozen=True, slots=True)
class _Found:
    """The entries on the front and near it, in the order in which they are shown, and the front's points [n, m].

    `unlikely` are those, by number, of a probability that is known and too small to be near.
    """

    front: tuple[FrontEntry, ...]
    near: tuple[FrontEntry, ...]
    unlikely: tuple[FrontEntry, ...]
    points: NDArray[np.float64]


def _uncertain(shown: StudyResult, candidates: Sequence[TrialRecord]) -> list[FrontEntry]:
    """The candidates, which have confirmed values, with probabilities, ties and test accuracies."""
    confirmation = shown.confirmation
    assert confirmation is not None
    if not candidates:
        return []
    probabilities, draws = drawn_memberships(
        shown, candidates, lambda trials, metrics: confirmed_draws(confirmation, trials, metrics)
    )
    is_tied = ties(draws)
    return [
        FrontEntry(
            trial,
            False,
            {},
            float(probabilities[index]),
            tuple(candidates[other].number for other in np.flatnonzero(is_tied[index]).tolist()),
            confirmation.test_accuracies.get(trial.number),
        )
        for index, trial in enumerate(candidates)
    ]


def _entries(shown: StudyResult, candidates: Sequence[TrialRecord], entries: Sequence[FrontEntry]) -> _Found:
    """Which of the candidates, one entry each, are on the front of their values, and which only may be."""
    directions, baseline = directions_of(shown), shown.baseline_values()
    points = objective_points(shown, candidates)
    mask = value_front(shown, candidates)
    is_likely = mask & np.array([entry.is_likely for entry in entries], dtype=np.bool_)
    eligible = np.flatnonzero(is_likely if is_likely.any() else mask)
    place = knee_index(points[eligible], directions)
    knee = None if place is None else int(eligible[place])
    turn = -1.0 if directions[0] == "maximize" else 1.0
    first = shown.objectives[0].metric
    # Ratios and order are worked out for what is stated only, which of many trials are few.
    stated = [i for i, entry in enumerate(entries) if mask[i] or (entry.probability or 0.0) >= NEAR]
    stated.sort(key=lambda i: (turn * entries[i].trial.values()[first], entries[i].trial.number))
    told = {
        i: replace(entries[i], is_knee=i == knee, ratio_to_baseline=ratios(entries[i].trial, baseline)) for i in stated
    }
    return _Found(
        front=tuple(told[i] for i in stated if mask[i]),
        near=tuple(told[i] for i in stated if not mask[i]),
        unlikely=tuple(one for i, one in enumerate(entries) if one.probability is not None and i not in told),
        points=points[mask],
    )


def _summary(result: StudyResult, where: Sequence[Constraint], found: _Found, **known: Any) -> FrontSummary:
    """The summary of what was found; `known` are its fields about the confirmation."""
    volume, share = _volumes(result, found.points)
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
        n_invalid=states.count("invalid"),
        entries=found.front,
        near=found.near,
        unlikely=found.unlikely,
        **known,
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
