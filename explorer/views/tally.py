"""Tally: the numbers of a running study, kept up to date one trial at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

from explorer.objectives import Objective
from explorer.pareto.archive import Archive
from explorer.pareto.hypervolume import hypervolume, ideal_point
from explorer.space.values import SearchSpace
from explorer.study.extent import n_possible_trials
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.pace import TrialPace
from explorer.views.page_columns import is_from_cache

_N_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Best:
    """The best feasible value of one objective, the trial that has it, and the baseline's value."""

    metric: str
    value: float | None = None
    trial: int | None = None
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class TallyInfo:
    """Where a study stands.

    `n_trials` are those that it can have. `seconds_left` is None before the first trial of this run has ended.
    `hypervolume_ratio` is the share of the box between reference and ideal; None when either does not exist.
    `n_cached` are the trials for which nothing had to be built. `failures` are the last ones, newest first, as
    (trial, reason).
    """

    n_trials: int
    n_done: int
    n_complete: int
    n_infeasible: int
    n_failed: int
    n_invalid: int
    n_cached: int
    n_front: int
    hypervolume: float | None
    hypervolume_ratio: float | None
    bests: tuple[Best, ...]
    failures: tuple[tuple[int, str], ...]
    seconds_left: float | None


@final
class _Count:
    """Counts, bests and the front of trials, against one reference point (None: the baseline is not known)."""

    def __init__(self, objectives: tuple[Objective, ...], reference: Mapping[str, float] | None) -> None:
        self.reference = reference
        self.n_seen = 0
        self.n_cached = 0
        self.states = {"complete": 0, "infeasible": 0, "failed": 0, "invalid": 0}
        self.failures: deque[tuple[int, str]] = deque(maxlen=_N_FAILURES)
        self.bests = {objective.metric: Best(objective.metric) for objective in objectives}
        self._objectives = objectives
        directions = [objective.direction for objective in objectives]
        corner = [0.0 if reference is None else reference[objective.metric] for objective in objectives]
        self.front = Archive(directions, corner)
        ideal = ideal_point(objectives)
        self._box = 0.0
        if reference is not None and ideal is not None:
            self._box = hypervolume([[ideal[objective.metric] for objective in objectives]], directions, corner)

    def add(self, trial: TrialRecord) -> bool:
        """Count one trial; whether it is on the front now."""
        self.n_seen += 1
        self.states[trial.state] += 1
        self.n_cached += is_from_cache(trial)
        if trial.outcome.failure is not None:
            self.failures.appendleft((trial.number, trial.outcome.failure.reason))
        values = trial.values()
        if not trial.is_feasible or any(objective.metric not in values for objective in self._objectives):
            return False
        for objective in self._objectives:
            value, best = values[objective.metric], self.bests[objective.metric]
            if best.value is None or _is_better(objective, value, best.value):
                self.bests[objective.metric] = replace(best, value=value, trial=trial.number)
        return self.front.add([values[objective.metric] for objective in self._objectives])

    def hypervolume(self) -> tuple[float | None, float | None]:
        """The hypervolume and its share of the box; None where there is no reference point, or no box."""
        if self.reference is None:
            return None, None
        volume = self.front.hypervolume
        return volume, volume / self._box if self._box > 0 else None


@final
class Tally:
    """Where a study stands. A trial costs one comparison with the front, however many there are."""

    def __init__(self, space: SearchSpace, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back (`time.monotonic`)."""
        self._space = space
        self._n_possible = n_possible_trials(space)
        self._pace = TrialPace(space, clock)
        self._count = _Count(space.objectives, None)
        self._baseline: Mapping[str, float] = {}

    def start_trial(self) -> None:
        """A trial of this run begins."""
        self._pace.start_trial()

    def end_trial(self, result: StudyResult) -> bool:
        """Take in the trials that `result` has beyond those already counted; whether the last one is on the front."""
        self._pace.end_trial()
        if result.reference_point != self._count.reference:
            # The reference point is known only once the baseline is: count again with it.
            self._count = _Count(self._space.objectives, result.reference_point)
        self._baseline = result.baseline_values()
        is_on_front = False
        for trial in result.trials[self._count.n_seen :]:
            is_on_front = self._count.add(trial)
        return is_on_front

    def info(self) -> TallyInfo:
        """The numbers as they are now."""
        count = self._count
        volume, share = count.hypervolume()
        return TallyInfo(
            n_trials=self._n_possible,
            n_done=count.n_seen,
            n_complete=count.states["complete"],
            n_infeasible=count.states["infeasible"],
            n_failed=count.states["failed"],
            n_invalid=count.states["invalid"],
            n_cached=count.n_cached,
            n_front=count.front.n_points,
            hypervolume=volume,
            hypervolume_ratio=share,
            bests=tuple(replace(b, baseline=self._baseline.get(b.metric)) for b in count.bests.values()),
            failures=tuple(count.failures),
            seconds_left=self._pace.seconds_left(count.n_seen),
        )

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self._pace.elapsed_s()


def _is_better(objective: Objective, value: float, other: float) -> bool:
    """Whether `value` beats `other`."""
    return value > other if objective.direction == "maximize" else value < other
