"""FrontView: the front of a study's feasible trials, its knee and hypervolume, and the values that every view shows.

Where the finalists of a study were confirmed, it is the front of their confirmed values; who is on it, and how
probably, follows from the validation examples alone. Quality on the test split is stated beside and chooses nothing.
A command computes it once and passes it on: the bootstrap of a confirmed front takes most of a command's time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import UsageError
from explorer.metrics import METRICS, Constraint, ideal_point
from explorer.pareto.front import knee_index
from explorer.pareto.hypervolume import hypervolume, hypervolume_ratio
from explorer.pareto.membership import membership, ties
from explorer.records import Measurement, TrialState
from explorer.study.baseline import guessing_info, warnings
from explorer.study.confirm.confirmed_values import Confirmed, Unconfirmed, confirmed, confirmed_samples
from explorer.study.feasibility import (
    directions_of,
    feasible_trials,
    objective_points,
    possible_trials,
    sampled_objectives,
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
    """A trial of the front, or near it, with the values that the front is of.

    `ratio_to_baseline` is, a metric, its value divided by the baseline's. Of a confirmed front: `probability` of being
    on it, the trials that cannot be told from this one in any objective (`ties`), and the quality on the test split.
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
class Standing:
    """The result of the confirmation for one finalist.

    `probability` of being on the front, None where its values are not confirmed or always break a constraint. `ties`
    are the trials from which it does not differ significantly in any objective. `why` is the reason why it is not
    confirmed, empty if it is.
    """

    probability: float | None = None
    ties: tuple[int, ...] = ()
    is_near: bool = False
    test_accuracy: Measurement | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The trials that the front is found among, with the values that it is of, and what the bootstrap says of them.

    `result` has these values; `objectives` [d, n, m] are drawn, `holds` [d, n] states where the constraints hold.
    """

    result: StudyResult
    trials: tuple[TrialRecord, ...]
    objectives: NDArray[np.float64] | None = None
    holds: NDArray[np.bool_] | None = None

    @classmethod
    def of_finalists(cls, finalists: StudyResult) -> _Candidates:
        confirmation, trials = finalists.confirmation, possible_trials(finalists)
        if not trials or confirmation is None:
            return cls(finalists, trials)
        drawn = sampled_objectives(finalists, trials, lambda some, names: confirmed_samples(finalists, some, names))
        return cls(finalists, trials, *drawn)

    def within(self, where: Sequence[Constraint]) -> _Candidates:
        """Return those that satisfy `where`. Raises UsageError for a bound relative to a baseline that is missing."""
        if not where:
            return self
        trials = within(self.trials, where, self.result.baseline_values())
        if self.objectives is None or self.holds is None:
            return replace(self, trials=trials)
        numbers = {trial.number for trial in trials}
        taken = [trial.number in numbers for trial in self.trials]
        return _Candidates(self.result, trials, self.objectives[:, taken], self.holds[:, taken])

    def entries(self) -> list[FrontEntry]:
        """Return one for each trial: of a confirmed study with probability, ties and the quality on the test split."""
        confirmation = self.result.confirmation
        if self.objectives is None or confirmation is None or not self.trials:
            return [FrontEntry(trial, False, {}) for trial in self.trials]
        shares = membership(self.objectives, directions_of(self.result), self.holds)
        tied = [[self.trials[i].number for i in np.flatnonzero(row)] for row in ties(self.objectives)]
        tests = confirmation.test_accuracies
        return [
            FrontEntry(trial, False, {}, float(share), tuple(others), tests.get(trial.number))
            for trial, share, others in zip(self.trials, shares, tied, strict=True)
        ]


@dataclass(frozen=True)
class FrontView:
    """A study's front, best in the first objective first, and the study with the values that views show.

    searched    the study with the values of the search, to which the stored samples belong
    result      the same with confirmed values for confirmed finalists
    where       constraints beyond the study's own
    is_stale    there is a confirmation, of other trials than the study has now
    finalists   those of a confirmed front with their confirmed values; None: the front is of the search's values
    whole       the view without `where`, whose bootstrap samples this one shares; None: it is this one

    What takes time is computed when it is first asked for, and once.
    """

    searched: StudyResult
    result: StudyResult
    where: tuple[Constraint, ...] = ()
    allow_invalid: bool = False
    is_stale: bool = False
    finalists: Confirmed | None = None
    whole: FrontView | None = field(default=None, repr=False, compare=False)

    @property
    def entries(self) -> tuple[FrontEntry, ...]:
        """The trials on the front."""
        return self._parts[0]

    @property
    def near(self) -> tuple[FrontEntry, ...]:
        """The finalists that are not on the front of these values and may belong to it."""
        return self._parts[1]

    @property
    def unlikely(self) -> tuple[FrontEntry, ...]:
        """The finalists that hardly belong to the front."""
        return self._parts[2]

    @cached_property
    def hypervolume(self) -> float | None:
        """The front's hypervolume; None without a reference point."""
        reference = self._reference
        return None if reference is None else hypervolume(self._points, directions_of(self.searched), reference)

    @cached_property
    def hypervolume_ratio(self) -> float | None:
        """Its share of the box between the reference and the ideal; None also when no ideal exists."""
        reference, ideal = self._reference, ideal_point(self.searched.objectives)
        if reference is None or ideal is None:
            return None
        corner = [ideal[objective.metric] for objective in self.searched.objectives]
        return hypervolume_ratio(self._points, directions_of(self.searched), reference, corner)

    @property
    def is_confirmed(self) -> bool:
        """Whether the front's values are medians over `n_rounds` rounds in fresh processes, else the search's."""
        return self.finalists is not None

    @property
    def n_rounds(self) -> int:
        """The number of rounds of a confirmed front, else 0."""
        confirmation = self.searched.confirmation
        return 0 if self.finalists is None or confirmation is None else len(confirmation.rounds)

    @property
    def unconfirmed(self) -> tuple[Unconfirmed, ...]:
        """The finalists without confirmed values that satisfy the constraints, with the reasons."""
        return () if self.finalists is None else self.finalists.unconfirmed

    @property
    def left_out(self) -> tuple[int, ...]:
        """The trials that may belong to a confirmed front, and were too many to be measured again."""
        confirmation = self.searched.confirmation
        if self.finalists is None or confirmation is None:
            return ()
        trials = [trial for trial in self.searched.trials if trial.number in confirmation.left_out]
        return tuple(trial.number for trial in within(trials, self.where, self.searched.baseline_values()))

    @cached_property
    def confirmed(self) -> frozenset[int]:
        """The numbers of the trials whose values in `result` are confirmed."""
        return frozenset() if self.finalists is None else frozenset(_confirmed_trials(self.finalists))

    @property
    def knee(self) -> FrontEntry | None:
        """The entry that is the knee; None for an empty front."""
        return next((entry for entry in self.entries if entry.is_knee), None)

    @property
    def eligible(self) -> tuple[FrontEntry, ...]:
        """The entries that knee and best are chosen among: the likely ones; all where none is."""
        return tuple(entry for entry in self.entries if entry.is_likely) or self.entries

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the trials on the front."""
        return tuple(entry.trial.number for entry in self.entries)

    @property
    def candidates(self) -> frozenset[int]:
        """The trials that may be on the front: the feasible ones, in a confirmed study only confirmed ones."""
        feasible = frozenset(trial.number for trial in self.result.trials if trial.is_feasible)
        return feasible & self.confirmed if self.is_confirmed else feasible

    @property
    def counts(self) -> Counter[TrialState]:
        """The number of trials in each state, as the search measured them."""
        return Counter(trial.state for trial in self.searched.trials)

    @cached_property
    def standings(self) -> Mapping[int, Standing]:
        """The result of the confirmation for every finalist, within the study's own constraints."""
        confirmation = self.searched.confirmation
        if self.finalists is None or confirmation is None:
            return {}
        if self.whole is not None:
            return self.whole.standings
        ties_of = {entry.trial.number: entry.ties for entry in (*self.entries, *self.near)}
        near = {entry.trial.number for entry in self.near}
        shares = {entry.trial.number: entry.probability for entry in (*self.entries, *self.near, *self.unlikely)}
        why = {one.trial: one.why for one in self.unconfirmed}
        return {
            number: Standing(
                probability=shares.get(number),
                ties=ties_of.get(number, ()),
                is_near=number in near,
                test_accuracy=confirmation.test_accuracies.get(number),
                why=why.get(number, "" if number in self.confirmed else "it was not measured again"),
            )
            for number in sorted(finalist.trial for finalist in confirmation.finalists)
        }

    def entry(self, number: int) -> FrontEntry | None:
        """Return the entry of that trial on the front; None where it is not on it."""
        return next((entry for entry in self.entries if entry.trial.number == number), None)

    def within(self, where: Sequence[Constraint]) -> FrontView:
        """Return the front of the trials that also satisfy `where`, by the same bootstrap samples.

        Raises UsageError for a metric of another task and for a bound relative to a baseline that is missing,
        ValueError for NaN objectives.
        """
        _require_metrics(self.searched, where)
        view = replace(self, where=tuple(where), whole=self.whole or self)
        view._all.within(view.where)  # what cannot be judged raises here
        return view

    @cached_property
    def _all(self) -> _Candidates:
        if self.whole is not None:
            return self.whole._all
        if self.finalists is None:
            return _Candidates(self.searched, feasible_trials(self.searched, (), self.allow_invalid))
        return _Candidates.of_finalists(self.finalists.result)

    @cached_property
    def _parts(self) -> tuple[tuple[FrontEntry, ...], tuple[FrontEntry, ...], tuple[FrontEntry, ...]]:
        """The entries on the front, near it, and hardly on it, in the order in which they are shown."""
        candidates = self._all.within(self.where)
        entries, mask = candidates.entries(), value_front(candidates.result, candidates.trials)
        stated = _stated(candidates.result, entries, objective_points(candidates.result, candidates.trials), mask)
        return (
            tuple(entry for index, entry in stated.items() if mask[index]),
            tuple(entry for index, entry in stated.items() if not mask[index]),
            tuple(one for i, one in enumerate(entries) if one.probability is not None and i not in stated),
        )

    @property
    def _points(self) -> NDArray[np.float64]:
        """The objectives [n, m] of the front."""
        return objective_points(self.searched, [entry.trial for entry in self.entries])

    @property
    def _reference(self) -> list[float] | None:
        point = self.searched.reference_point
        return None if point is None else [point[objective.metric] for objective in self.searched.objectives]

    def to_json(self) -> dict[str, Any]:
        """What `explore front --json` prints."""
        result, counts = self.searched, self.counts
        return {
            "study": result.name,
            "objectives": [{"metric": o.metric, "direction": o.direction} for o in result.objectives],
            "reference_point": None if result.reference_point is None else dict(result.reference_point),
            "hypervolume": self.hypervolume,
            "trials": {state: counts[state] for state in ("complete", "infeasible", "failed", "invalid")},
            "confirmed": self.is_confirmed,
            "front": [entry.to_json() for entry in self.entries],
            "near": [entry.to_json() for entry in self.near],
            "unconfirmed": [{"trial": one.trial, "why": one.why} for one in self.unconfirmed],
            "unlikely": [{"trial": one.trial.number, "probability": one.probability} for one in self.unlikely],
            "left_out": list(self.left_out),
            "baseline": guessing_info(result),
            "warnings": list(warnings(result)),
        }


def front_view(
    result: StudyResult,
    where: Sequence[Constraint] = (),
    allow_invalid: bool = False,
    is_search: bool = False,
) -> FrontView:
    """The front of the feasible trials that also satisfy `where`; knee and hypervolume are of that front.

    Of a confirmed study, of its finalists with their confirmed values, unless `is_search` asks for the search's;
    `allow_invalid` does too, since what is invalid is no finalist.
    Raises UsageError for a metric of another task and for a bound relative to a baseline that the study does not have,
    ValueError for NaN objectives.
    """
    confirmation = result.confirmation
    is_stale = confirmation is not None and result.is_stale(confirmation)
    if confirmation is None or is_stale or is_search or allow_invalid:
        view = FrontView(result, result, allow_invalid=allow_invalid, is_stale=is_stale)
    else:
        finalists = confirmed(result, confirmation)
        known = _confirmed_trials(finalists)
        trials = tuple(known.get(trial.number, trial) for trial in result.trials)
        view = FrontView(result, replace(result, trials=trials), finalists=finalists)
    return view.within(where) if where else view


def _require_metrics(result: StudyResult, where: Sequence[Constraint]) -> None:
    """Raise UsageError for a constraint on a metric of another task, which no trial of the study can have."""
    of_task, known = {metric.name for metric in result.task.metrics}, result.metric_names()
    for name in (bound.metric for bound in where):
        if METRICS[name].origin == "task" and name not in {*of_task, *known}:
            raise UsageError(
                f"expected a metric of {result.name}, one of {', '.join(known)}; got {name!r}, which belongs to "
                "another task"
            )


def memberships(result: StudyResult) -> dict[int, float]:
    """Each finalist's probability of being on the front, by trial; of those whose confirmed values may be feasible.

    Empty without a confirmation.
    """
    if result.confirmation is None:
        return {}
    entries = _Candidates.of_finalists(confirmed(result, result.confirmation).result).entries()
    return {one.trial.number: one.probability or 0.0 for one in entries}


def ratios(trial: TrialRecord, baseline: Mapping[str, float]) -> dict[str, float]:
    """Each known metric of `trial` divided by the baseline's, where that is known and not 0."""
    return {name: value / baseline[name] for name, value in trial.values().items() if baseline.get(name)}


def _confirmed_trials(finalists: Confirmed) -> dict[int, TrialRecord]:
    """The trials with confirmed values, by number; a baseline without such values is invalid there."""
    return {trial.number: trial for trial in finalists.result.trials if trial.state != "invalid"}


def _stated(
    result: StudyResult, entries: Sequence[FrontEntry], points: NDArray[np.float64], mask: NDArray[np.bool_]
) -> dict[int, FrontEntry]:
    """Which entries, by place and in order, are on the front (`mask` [n]) of `points` [n, m] or near it."""
    directions, baseline = directions_of(result), result.baseline_values()
    is_likely = mask & np.array([entry.is_likely for entry in entries], dtype=np.bool_)
    eligible = np.flatnonzero(is_likely if is_likely.any() else mask)
    place = knee_index(points[eligible], directions)
    knee = None if place is None else int(eligible[place])
    turn = -1.0 if directions[0] == "maximize" else 1.0
    # Ratios and order are worked out for what is stated only, which of many trials are few.
    stated = [i for i, entry in enumerate(entries) if mask[i] or (entry.probability or 0.0) >= NEAR]
    stated.sort(key=lambda i: (turn * points[i, 0], entries[i].trial.number))
    return {
        i: replace(entries[i], is_knee=i == knee, ratio_to_baseline=ratios(entries[i].trial, baseline)) for i in stated
    }
