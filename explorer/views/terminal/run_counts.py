"""The counts of a running study, updated trial by trial, and estimates of the time that it and a stage still take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import final

from explorer.metrics import Objective, ideal_point
from explorer.pareto.hypervolume import Archive, hypervolume
from explorer.records import Progress
from explorer.space.values import SearchSpace
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.vocabulary import n_possible_trials
from explorer.views.page.columns import is_from_cache

_N_FAILURES = 3
# With less progress than this, no estimate is made.
_MIN_SHARE = 0.005
_MIN_SECONDS = 2.0


@final
class TrialEta:
    """The remaining time of a run. `clock` returns monotonic seconds."""

    def __init__(self, space: SearchSpace, clock: Callable[[], float]) -> None:
        self._n_possible = n_possible_trials(space)
        self._timeout_s = space.search.timeout_s
        self._clock = clock
        self._started = clock()
        self._first_trial: float | None = None
        self._last_end = self._started
        self._n_here = 0

    @classmethod
    def of_run(
        cls, space: SearchSpace, since: float, trials: Sequence[TrialRecord], clock: Callable[[], float]
    ) -> TrialEta:
        """Return the estimate for a run that another process began at `since`, on the same clock as its trials.

        `trials` are those of the whole study, in the order in which they finished.
        """
        eta = cls(space, clock)
        eta._started = eta._last_end = since
        here = list(takewhile(lambda trial: trial.started >= since, reversed(trials)))
        if here:
            eta._first_trial, eta._last_end, eta._n_here = here[-1].started, here[0].finished, len(here)
        return eta

    def start_trial(self) -> None:
        """Note that a trial of this run begins."""
        if self._first_trial is None:
            self._first_trial = self._clock()

    def end_trial(self) -> None:
        """Note that a trial of this run has ended."""
        self._n_here += self._first_trial is not None
        self._last_end = self._clock()

    def elapsed_s(self) -> float:
        """Return the seconds since the run began."""
        return self._clock() - self._started

    def seconds_left(self, n_done: int) -> float | None:
        """Return seconds, from the mean time of a trial and at most to the timeout; None before the first trial."""
        if not self._n_here or self._first_trial is None:
            return None
        mean = (self._last_end - self._first_trial) / self._n_here
        left = mean * max(0, self._n_possible - n_done) - (self._clock() - self._last_end)
        timeout_s = self._timeout_s
        return max(0.0, left if timeout_s is None else min(left, timeout_s - self.elapsed_s()))


@final
class StageEta:
    """The remaining time of one stage, from its progress since this run began it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._clock = clock
        self._stage: str | None = None
        self._started = 0.0
        self._first = 0.0

    def seconds_left(self, progress: Progress) -> float | None:
        """Return the seconds from `progress`, reported now, to the end of its stage; None while too little is done."""
        if progress.stage != self._stage:
            self._stage, self._started, self._first = progress.stage, self._clock(), progress.done
        done, elapsed = progress.done - self._first, self._clock() - self._started
        if not progress.total or done < _MIN_SHARE * progress.total or elapsed < _MIN_SECONDS:
            return None
        return max(0.0, elapsed * (progress.total - progress.done) / done)


@dataclass(frozen=True, slots=True)
class Best:
    """The best feasible value of one objective, the trial that has it, and the baseline's value."""

    metric: str
    value: float | None = None
    trial: int | None = None
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class RunCountsInfo:
    """The counts at one moment.

    `n_trials` is the number of trials that the study can have, `n_cached` of those for which nothing had to be built.
    `seconds_left` is None before the first trial of this run has ended. `hypervolume_ratio` is the share of the box
    between reference and ideal point, None when either does not exist. `failures` are the last three, newest first, as
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
    """Counts, best values and front of trials for one reference point (None before the baseline is known)."""

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
        """Count one trial; return whether it is on the front now."""
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
        """Return the hypervolume and its share of the box; None without a reference point or a box."""
        if self.reference is None:
            return None, None
        volume = self.front.hypervolume
        return volume, volume / self._box if self._box > 0 else None


@final
class RunCounts:
    """The counts of a study; adding a trial takes one comparison with the front."""

    def __init__(self, space: SearchSpace, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._space = space
        self._n_possible = n_possible_trials(space)
        self._eta = TrialEta(space, clock)
        self._count = _Count(space.objectives, None)
        self._baseline: Mapping[str, float] = {}

    def start_trial(self) -> None:
        """Note that a trial of this run begins."""
        self._eta.start_trial()

    def end_trial(self, result: StudyResult) -> bool:
        """Count the new trials of `result`; return whether the last one is on the front."""
        self._eta.end_trial()
        if result.reference_point != self._count.reference:
            # The reference point is known only once the baseline is: count again with it.
            self._count = _Count(self._space.objectives, result.reference_point)
        self._baseline = result.baseline_values()
        is_on_front = False
        for trial in result.trials[self._count.n_seen :]:
            is_on_front = self._count.add(trial)
        return is_on_front

    def info(self) -> RunCountsInfo:
        """Return the counts as they are now."""
        count = self._count
        volume, share = count.hypervolume()
        return RunCountsInfo(
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
            seconds_left=self._eta.seconds_left(count.n_seen),
        )

    def elapsed_s(self) -> float:
        """Return the seconds since the run began."""
        return self._eta.elapsed_s()


def _is_better(objective: Objective, value: float, other: float) -> bool:
    return value > other if objective.direction == "maximize" else value < other
