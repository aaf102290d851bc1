"""The counts of a running study, updated trial by trial, and estimates of the time that it and a stage still take."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import final

from explorer.metrics import Objective, ideal_point
from explorer.pareto.hypervolume import Archive, hypervolume
from explorer.records import Progress, TrialState
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


@final
class RunCounts:
    """The counts of a study, of all of its trials so far; adding a trial takes one comparison with the front.

    n_trials  the number of trials that the study can have
    n_done    finished trials; `states` of them by state, `n_cached` of those for which nothing had to be built
    bests     by objective
    failures  the last three as (trial, reason), newest first
    """

    def __init__(self, space: SearchSpace, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self.n_trials = n_possible_trials(space)
        self._objectives = space.objectives
        self._eta = TrialEta(space, clock)
        self._begin(None)

    def _begin(self, reference: Mapping[str, float] | None) -> None:
        """Count from the first trial on, for one reference point (None before the baseline is known)."""
        self._reference = reference
        self.n_done = self.n_cached = 0
        self.states: Counter[TrialState] = Counter()
        self.failures: deque[tuple[int, str]] = deque(maxlen=_N_FAILURES)
        self.bests = {objective.metric: Best(objective.metric) for objective in self._objectives}
        directions = [objective.direction for objective in self._objectives]
        corner = [0.0 if reference is None else reference[name] for name in self.bests]
        self._front = Archive(directions, corner)
        ideal = None if reference is None else ideal_point(self._objectives)
        self._box = 0.0 if ideal is None else hypervolume([[ideal[name] for name in self.bests]], directions, corner)

    def start_trial(self) -> None:
        """Note that a trial of this run begins."""
        self._eta.start_trial()

    def end_trial(self, result: StudyResult) -> bool:
        """Count the new trials of `result`; return whether the last one is on the front."""
        self._eta.end_trial()
        if result.reference_point != self._reference:
            self._begin(result.reference_point)
        is_on_front = False
        for trial in result.trials[self.n_done :]:
            is_on_front = self._add(trial)
        baseline = result.baseline_values()
        self.bests = {name: replace(best, baseline=baseline.get(name)) for name, best in self.bests.items()}
        return is_on_front

    def _add(self, trial: TrialRecord) -> bool:
        """Count one trial; return whether it is on the front now."""
        self.n_done += 1
        self.states[trial.state] += 1
        self.n_cached += is_from_cache(trial)
        if trial.outcome.failure is not None:
            self.failures.appendleft((trial.number, trial.outcome.failure.reason))
        values = trial.values()
        if not trial.is_feasible or any(name not in values for name in self.bests):
            return False
        for objective in self._objectives:
            value, best = values[objective.metric], self.bests[objective.metric]
            if best.value is None or _is_better(objective, value, best.value):
                self.bests[objective.metric] = replace(best, value=value, trial=trial.number)
        return self._front.add([values[name] for name in self.bests])

    @property
    def n_front(self) -> int:
        """The number of trials on the front."""
        return self._front.n_points

    @property
    def hypervolume(self) -> float | None:
        """The front's hypervolume; None without a reference point."""
        return None if self._reference is None else self._front.hypervolume

    @property
    def hypervolume_ratio(self) -> float | None:
        """Its share of the box between reference and ideal point; None when either does not exist."""
        return self._front.hypervolume / self._box if self._box > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """The estimated seconds until the study ends; None before the first trial of this run has ended."""
        return self._eta.seconds_left(self.n_done)

    @property
    def elapsed_s(self) -> float:
        """The seconds since the run began."""
        return self._eta.elapsed_s()


def _is_better(objective: Objective, value: float, other: float) -> bool:
    return value > other if objective.direction == "maximize" else value < other
