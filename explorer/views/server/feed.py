"""Feed: the latest state of a study, told by one thread and asked by any other; telling costs microseconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, final

from explorer.measure.probing import TIMING_STAGE
from explorer.records import Progress, Variant
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.pace import TrialPace

Status = Literal["running", "finished", "interrupted"]
Ring = Callable[[], None]


@dataclass(frozen=True, slots=True)
class FeedState:
    """What is known at one moment.

    The trials of one `epoch` only ever grow at their end; a new epoch begins when a study is begun anew. `running` is
    the number and the variant of the trial that is being tried.
    """

    result: StudyResult
    status: Status
    epoch: int = 0
    progress: Progress | None = None
    running: tuple[int, Variant] | None = None

    @property
    def version(self) -> int:
        """How many trials have finished."""
        return len(self.result.trials)

    @property
    def is_timing(self) -> bool:
        """Whether a probe is taking times, so that everybody else should keep still."""
        return self.progress is not None and self.progress.stage == TIMING_STAGE


@final
class Feed:
    """The study as the dashboard sees it: a `StudyView` that keeps what it is told and rings who listens.

    One thread tells; it replaces one frozen value and rings, and nothing is computed or waited for. While a probe takes
    times nobody is rung: the news wait until the next stage.
    """

    def __init__(
        self, result: StudyResult, status: Status = "running", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`result` is what the study had found before anybody told of it."""
        self._state = FeedState(result, status)
        self._pace = TrialPace(result.space.search, clock)
        self._lock = threading.Lock()  # of the listeners only: the state is replaced whole
        self._listeners: tuple[Ring, ...] = ()

    def state(self) -> FeedState:
        """What is known now."""
        return self._state

    def seconds_left(self) -> float | None:
        """How long the study will still take; None where that is not known or it has ended."""
        state = self._state
        return self._pace.seconds_left(state.version) if state.status == "running" else None

    def listen(self, ring: Ring) -> None:
        """Call `ring` at each news, from the thread that tells; it must return at once and not raise."""
        with self._lock:
            self._listeners = (*self._listeners, ring)

    def leave(self, ring: Ring) -> None:
        """Undo `listen`."""
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other != ring)

    def on_progress(self, progress: Progress) -> None:
        """Keep where the work stands."""
        self._change(progress=progress)

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Keep what is tried now."""
        self._pace.start_trial()
        self._change(running=(number, variant), progress=None)

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Keep what was found so far."""
        self._pace.end_trial()
        self.update(result_so_far, "running")

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Nothing: sentences are the terminal's."""

    def close(self) -> None:
        """Nothing: the server outlives the terminal's view."""

    def update(self, result: StudyResult, status: Status) -> None:
        """The study as it is now, between two trials."""
        before = self._state.result.trials
        is_same = not before or (len(result.trials) >= len(before) and _is_same(before[-1], result, len(before) - 1))
        epoch = self._state.epoch + (not is_same)
        self._change(result=result, status=status, epoch=epoch, running=None, progress=None)

    def end(self, status: Status) -> None:
        """The study runs no longer."""
        self._change(status=status, running=None, progress=None)

    def _change(self, **news: Any) -> None:
        was_timing = self._state.is_timing
        self._state = replace(self._state, **news)
        if was_timing and self._state.is_timing:
            return
        for ring in self._listeners:
            ring()


def _is_same(trial: TrialRecord, result: StudyResult, index: int) -> bool:
    """Whether `result` has this very trial at that position: if so, it has everything before it as well."""
    other = result.trials[index]
    return (other.number, other.started, other.finished) == (trial.number, trial.started, trial.finished)
