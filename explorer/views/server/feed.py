"""Feed: the latest state of a study, told by one thread and asked by any other; telling costs microseconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, final

from explorer.measure.probing import TIMING_STAGE
from explorer.records import Progress, Variant
from explorer.study.confirmation import STAGE as CONFIRM_STAGE
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.pace import StagePace, TrialPace

Status = Literal["running", "finished", "interrupted"]
Ring = Callable[[], None]


@dataclass(frozen=True, slots=True)
class FeedState:
    """What is known at one moment.

    Within one `epoch` the search space and the confirmation stay and trials only ever come at the end; a new one begins
    when a study is begun anew or confirmed, or with other limits.
    `running` is the number and the variant of the trial that is being tried,
    `stage_seconds_left` how long the stage of `progress` will still take. `confirming` is how far the confirmation is
    while finalists are measured again, whatever stage each of these measurements is at; else None.
    """

    result: StudyResult
    status: Status
    epoch: int = 0
    progress: Progress | None = None
    running: tuple[int, Variant] | None = None
    stage_seconds_left: float | None = None
    confirming: Progress | None = None

    @property
    def version(self) -> int:
        """How many trials have finished."""
        return len(self.result.trials)

    @property
    def timing(self) -> tuple[int, int, int | None] | None:
        """Which trial's times a probe is taking, so that everybody else should keep still; None when none is."""
        if self.progress is None or self.progress.stage != TIMING_STAGE:
            return None
        return self.epoch, self.version, None if self.running is None else self.running[0]


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
        self._pace = TrialPace(result.space, clock)
        self._stage_pace = StagePace(clock)
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

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """Keep the confirmation."""
        self.update(result_so_far, "running")

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Nothing: sentences are the terminal's."""

    def close(self) -> None:
        """Nothing: the server outlives the terminal's view."""

    def update(
        self,
        result: StudyResult,
        status: Status,
        running: tuple[int, Variant] | None = None,
        progress: Progress | None = None,
        pace: TrialPace | None = None,
    ) -> None:
        """The study as it is now. `pace` is that of a run of which nobody tells the feed trial by trial."""
        before = self._state.result
        epoch = self._state.epoch + (not _is_continued(before, result))
        self._pace = self._pace if pace is None else pace
        self._change(result=result, status=status, epoch=epoch, running=running, progress=progress)

    def end(self, status: Status) -> None:
        """The study runs no longer."""
        self._change(status=status, running=None, progress=None)

    def _change(self, **news: Any) -> None:
        timing = self._state.timing
        news = {**news, "confirming": self._confirming(news)}
        progress = news.get("progress", self._state.progress)
        left = None if progress is None else self._stage_pace.seconds_left(progress)
        self._state = replace(self._state, stage_seconds_left=left, **news)
        if timing is not None and timing == self._state.timing:
            return
        for ring in self._listeners:
            ring()

    def _confirming(self, news: Mapping[str, Any]) -> Progress | None:
        """The confirmation's own progress, which the stages of its measurements come between."""
        progress = news.get("progress", self._state.progress)
        status, running = (news.get(name, getattr(self._state, name)) for name in ("status", "running"))
        if progress is None or running is not None or status != "running":
            return None
        return progress if progress.stage == CONFIRM_STAGE else self._state.confirming


def _is_continued(before: StudyResult, after: StudyResult) -> bool:
    """Whether `after` has all that `before` had, and maybe more trials.

    If it has the last trial, then everything before it as well.
    """
    n = len(before.trials)
    if after.space is not before.space and after.space != before.space:
        return False
    if after.confirmation is not before.confirmation and after.confirmation != before.confirmation:
        return False
    confirmation = after.confirmation
    if confirmation is not None and n == confirmation.n_trials != len(after.trials):
        return False  # with more trials it is stale, and what was shown as confirmed is not
    return not n or (len(after.trials) >= n and _identity(after.trials[n - 1]) == _identity(before.trials[-1]))


def _identity(trial: TrialRecord) -> tuple[int, float, float]:
    return trial.number, trial.started, trial.finished
