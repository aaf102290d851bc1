"""The latest state of a study, written by one thread and read by any other."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, final

from explorer.measure.probing import TIMING_STAGE
from explorer.records import Progress, Variant
from explorer.study.confirm.confirmation import STAGE as CONFIRM_STAGE
from explorer.study.evaluation import StudyView
from explorer.study.front import FrontView, front_view
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.terminal.run_counts import StageEta, TrialEta

Status = Literal["running", "finished", "interrupted"]
Listener = Callable[[], None]


@dataclass(frozen=True, slots=True)
class FeedState:
    """The state of a study at one moment.

    running             number and variant of the trial that is being evaluated
    stage_seconds_left  estimated seconds until the stage of `progress` ends
    confirming          progress of the confirmation while finalists are measured again, whatever the stage of each
                        measurement; else None
    """

    result: StudyResult
    status: Status
    progress: Progress | None = None
    running: tuple[int, Variant] | None = None
    stage_seconds_left: float | None = None
    confirming: Progress | None = None

    @property
    def version(self) -> int:
        """The number of finished trials."""
        return len(self.result.trials)

    @property
    def timing(self) -> tuple[int, int | None] | None:
        """The trial whose times a probe is taking, as (version, number); None when none is."""
        if self.progress is None or self.progress.stage != TIMING_STAGE:
            return None
        return self.version, None if self.running is None else self.running[0]

    def digest(self, n_trials: int) -> str:
        """Return a digest that distinguishes the first `n_trials` of this study, with its limits and confirmation."""
        last = self.result.trials[n_trials - 1] if n_trials else None
        one = self.result.confirmation
        is_stale = one is not None and one.n_trials != self.version  # then confirmed values are no longer shown
        confirmed = one and (is_stale, one.n_trials, one.last_finished, len(one.rounds), one.seconds, one.ended)
        facts = (self.result.space, last and (last.number, last.started, last.finished), confirmed)
        return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


@final
class Feed(StudyView):
    """A `StudyView` for the dashboard: stores the latest state, and notifies its listeners.

    The writing thread only replaces one frozen value and calls the listeners. While a probe takes times they are not
    called: changes wait until the next stage.
    """

    def __init__(
        self, result: StudyResult, status: Status = "running", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with `result`, what the study had found before."""
        self._state = FeedState(result, status)
        self._eta = TrialEta(result.space, clock)
        self._stage_eta = StageEta(clock)
        self._lock = threading.Lock()  # for the listeners only: the state is replaced as a whole
        self._front_lock = threading.Lock()
        self._front: FrontView | None = None
        self._listeners: tuple[Listener, ...] = ()

    def state(self) -> FeedState:
        """Return the current state."""
        return self._state

    def front(self, state: FeedState) -> FrontView:
        """Return the front of a state, in the thread of a reader; that of the last one asked for is kept."""
        with self._front_lock:
            if self._front is None or self._front.searched is not state.result:
                self._front = front_view(state.result)
            return self._front

    def seconds_left(self) -> float | None:
        """Return the estimated seconds until the study ends; None where unknown, or when it has ended."""
        state = self._state
        return self._eta.seconds_left(state.version) if state.status == "running" else None

    def listen(self, listener: Listener) -> None:
        """Call `listener` at each change, in the writing thread; it must return at once and not raise."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def leave(self, listener: Listener) -> None:
        """Undo `listen`."""
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other != listener)

    def on_progress(self, progress: Progress) -> None:
        """Store the progress."""
        self._change(progress=progress)

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Store the trial that begins."""
        self._eta.start_trial()
        self._change(running=(number, variant), progress=None)

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Store the result."""
        self._eta.end_trial()
        self.update(result_so_far, "running")

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """Store the confirmation."""
        self.update(result_so_far, "running")

    def update(
        self,
        result: StudyResult,
        status: Status,
        running: tuple[int, Variant] | None = None,
        progress: Progress | None = None,
        eta: TrialEta | None = None,
    ) -> None:
        """Store the study's state. `eta` belongs to a run whose trials are not reported to this feed."""
        self._eta = self._eta if eta is None else eta
        self._change(result=result, status=status, running=running, progress=progress)

    def end(self, status: Status) -> None:
        """Store that the study does not run any more."""
        self._change(status=status, running=None, progress=None)

    def _change(self, **changes: Any) -> None:
        timing = self._state.timing
        changes = {**changes, "confirming": self._confirming(changes)}
        progress = changes.get("progress", self._state.progress)
        left = None if progress is None else self._stage_eta.seconds_left(progress)
        self._state = replace(self._state, stage_seconds_left=left, **changes)
        if timing is not None and timing == self._state.timing:
            return
        for listener in self._listeners:
            listener()

    def _confirming(self, changes: Mapping[str, Any]) -> Progress | None:
        """Return the progress of the confirmation itself, between the stages of its measurements."""
        progress = changes.get("progress", self._state.progress)
        status, running = (changes.get(name, getattr(self._state, name)) for name in ("status", "running"))
        if progress is None or running is not None or status != "running":
            return None
        return progress if progress.stage == CONFIRM_STAGE else self._state.confirming
