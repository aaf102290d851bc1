"""Pace: how long a run's trials, and a stage of known length, will still take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import final

from explorer.records import Progress
from explorer.space.values import SearchSpace
from explorer.study.extent import n_possible_trials
from explorer.study.result import TrialRecord

# Less than this says nothing about the pace.
_MIN_SHARE = 0.005
_MIN_SECONDS = 2.0


@final
class TrialPace:
    """The time of this run's trials. `clock` gives seconds that never go back (`time.monotonic`)."""

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
    ) -> TrialPace:
        """The pace of a run that another process began at `since`, by its trials; `clock` and they tell the same time.

        `trials` are all of the study, in the order in which they finished.
        """
        pace = cls(space, clock)
        pace._started = pace._last_end = since
        here = list(takewhile(lambda trial: trial.started >= since, reversed(trials)))
        if here:
            pace._first_trial, pace._last_end, pace._n_here = here[-1].started, here[0].finished, len(here)
        return pace

    def start_trial(self) -> None:
        """A trial of this run begins."""
        if self._first_trial is None:
            self._first_trial = self._clock()

    def end_trial(self) -> None:
        """A trial of this run has ended."""
        self._n_here += self._first_trial is not None
        self._last_end = self._clock()

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._started

    def seconds_left(self, n_done: int) -> float | None:
        """From the mean time of this run's trials, and never beyond the study's timeout; None before the first."""
        if not self._n_here or self._first_trial is None:
            return None
        mean = (self._last_end - self._first_trial) / self._n_here
        left = mean * max(0, self._n_possible - n_done) - (self._clock() - self._last_end)
        timeout_s = self._timeout_s
        return max(0.0, left if timeout_s is None else min(left, timeout_s - self.elapsed_s()))


@final
class StagePace:
    """The speed of one stage since this run began it: a stage that goes on where an earlier run stopped counts anew."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back (`time.monotonic`)."""
        self._clock = clock
        self._stage: str | None = None
        self._started = 0.0
        self._first = 0.0

    def seconds_left(self, progress: Progress) -> float | None:
        """Seconds from `progress`, reported now, to the end of its stage; None where that cannot be said yet."""
        if progress.stage != self._stage:
            self._stage, self._started, self._first = progress.stage, self._clock(), progress.done
        done, elapsed = progress.done - self._first, self._clock() - self._started
        if not progress.total or done < _MIN_SHARE * progress.total or elapsed < _MIN_SECONDS:
            return None
        return max(0.0, elapsed * (progress.total - progress.done) / done)
