"""PlainView and QuietView: a running study as lines of text, or errors only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO, final

from explorer.records import Progress, Variant
from explorer.space.values import SearchSpace
from explorer.study.confirm.confirmation import STAGE as CONFIRM_STAGE
from explorer.study.evaluation import StudyView
from explorer.study.result import StudyResult, TrialRecord
from explorer.system.terminal import PatientStream
from explorer.views.formatting import (
    Glyphs,
    duration_text,
    gain_text,
    glyphs_for,
    metric_title,
    one_line,
    states_text,
    value_text,
    variant_text,
    varying_parameters,
)
from explorer.views.terminal.run_counts import RunCounts, StageEta

_SECONDS_BETWEEN_PROGRESS = 10.0


@final
class QuietView(StudyView):
    """Prints errors only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = PatientStream(stream)

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Print the sentence if it is an error."""
        if is_error:
            self._stream.write(f"{one_line(text, limit=2000)}\n")
            self._stream.flush()


@final
class PlainView(StudyView):
    """One line per trial and a few per stage, without control codes: for pipes, logs and dumb terminals."""

    def __init__(self, space: SearchSpace, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._space = space
        self._stream = PatientStream(stream)
        self._clock = clock
        self._glyphs = glyphs_for(self._stream.encoding)
        self._parameters = varying_parameters(space)
        self._counts = RunCounts(space, clock)
        self._stage_eta = StageEta(clock)
        self._stage: str | None = None
        self._last_progress = -_SECONDS_BETWEEN_PROGRESS
        self._is_in_trial = False
        self._is_closed = False

    def on_progress(self, progress: Progress) -> None:
        """Print a line for each new stage outside of trials, otherwise at most one every ten seconds."""
        now = self._clock()
        seconds_left = self._stage_eta.seconds_left(progress)
        is_new = progress.stage != self._stage and not self._is_in_trial
        # From then on stages alternate with every measurement, as within a trial.
        self._is_in_trial = self._is_in_trial or progress.stage == CONFIRM_STAGE
        if is_new or now - self._last_progress >= _SECONDS_BETWEEN_PROGRESS:
            self._stage = progress.stage
            self._last_progress = now
            self._line(progress_text(progress, seconds_left, self._glyphs))

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Print nothing: the line comes with the result."""
        self._counts.start_trial()
        self._is_in_trial = True
        self._last_progress = self._clock()

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Print one line: the trial, its objectives or the reason why it has none, its variant."""
        is_on_front = self._counts.end_trial(result_so_far)
        self._is_in_trial = False
        info, left = self._counts, self._counts.seconds_left
        outcome = outcome_text(record, result_so_far, self._glyphs)
        words = [f"trial {record.number} ({info.n_done}/{info.n_trials}): {outcome}"]
        words.append(variant_text(record.variant, self._parameters, self._glyphs))
        if is_on_front:
            words.append("on the front")
        if left is not None and left >= 1.0:
            words.append(f"about {duration_text(left)} left")
        self._line(self._glyphs.dot.join(words))

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Print the sentence."""
        self._line(one_line(text, limit=2000))

    def close(self) -> None:
        """Print one line that sums up."""
        if not self._is_closed and self._counts.n_done:
            self._line(closing_text(self._counts, self._glyphs))
        self._is_closed = True

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def progress_text(progress: Progress, seconds_left: float | None, glyphs: Glyphs) -> str:
    """Return `train: 40 %, about 6 min left, epoch 4 of 10`."""
    words = one_line(progress.stage)
    if progress.total:
        words += f": {100 * min(1.0, progress.done / progress.total):.0f} %"
    if seconds_left:
        words += f"{glyphs.dot}about {duration_text(seconds_left)} left"
    return f"{words}{glyphs.dot}{one_line(progress.note)}" if progress.note else words


def outcome_text(record: TrialRecord, result: StudyResult, glyphs: Glyphs) -> str:
    """Return a trial's objectives, gains over the baseline and broken constraints, or why it failed."""
    if record.outcome.failure is not None:
        return f"failed, {one_line(record.outcome.failure.reason)}"
    if record.state == "invalid":
        return f"invalid, {one_line('; '.join(record.outcome.invalid))}"
    baseline = {} if record.number == 0 else result.baseline_values()
    words = []
    for objective in result.objectives:
        value = record.values().get(objective.metric)
        if value is not None:
            gain = gain_text(objective.metric, value, baseline.get(objective.metric), glyphs)
            shown = value_text(objective.metric, value)
            words.append(f"{metric_title(objective.metric)} {shown}{f' ({gain})' if gain else ''}")
    broken = ", ".join(one_line(text) for text in record.broken())
    return glyphs.dot.join([*words, *([f"infeasible: not {broken}"] if broken else [])])


def closing_text(info: RunCounts, glyphs: Glyphs) -> str:
    """Return the counts, the size of the front and the hypervolume of a run in one line."""
    volume = "" if info.hypervolume_ratio is None else f"{glyphs.dot}hypervolume {100 * info.hypervolume_ratio:.1f} %"
    return (
        f"{info.n_done} trials in {duration_text(info.elapsed_s)}: {states_text(info.states)}, {info.n_cached} from "
        f"the cache{glyphs.dot}{info.n_front} on the front{volume}"
    )
