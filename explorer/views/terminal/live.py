"""LiveView: a running study as a live screen in the terminal; and the choice of a view."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TextIO, cast, final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from explorer.records import Progress, Variant
from explorer.space.values import SearchSpace
from explorer.study.confirm.confirmation import STAGE as CONFIRM_STAGE
from explorer.study.evaluation import StudyView
from explorer.study.result import StudyResult, TrialRecord
from explorer.system.terminal import PatientStream
from explorer.views.formatting import (
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
from explorer.views.terminal.plain import PlainView, QuietView, closing_text
from explorer.views.terminal.run_counts import RunCounts, StageEta

# Drawing takes milliseconds of a core, which would disturb measurements beside it if it were more frequent.
_SECONDS_BETWEEN_FRAMES = 0.25
_BAR_COLUMNS = 30


def make_view(space: SearchSpace, stream: TextIO, is_quiet: bool = False) -> StudyView:
    """Return a view on `stream`: silent if `is_quiet`, else live in a terminal, and lines of text elsewhere."""
    if is_quiet:
        return QuietView(stream)
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveView(space, stream)
    return PlainView(space, stream)


@final
class LiveView(StudyView):
    """The progress of a study on one screen, drawn at events, at most four times a second."""

    def __init__(self, space: SearchSpace, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = PatientStream(stream)
        self._console = Console(file=cast(TextIO, self._stream), highlight=False, emoji=False, markup=False)
        self._glyphs = glyphs_for(self._stream.encoding)
        self._space = space
        self._clock = clock
        self._counts = RunCounts(space, clock)
        self._parameters = varying_parameters(space)
        self._trial: tuple[int, Variant] | None = None
        self._progress: Progress | None = None
        self._confirming: Progress | None = None
        self._stage_eta = StageEta(clock)
        self._stage_left: float | None = None
        self._last_frame = -_SECONDS_BETWEEN_FRAMES
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._is_closed = False

    def on_progress(self, progress: Progress) -> None:
        """Show the stage and its progress."""
        self._progress = progress
        self._confirming = progress if progress.stage == CONFIRM_STAGE else self._confirming
        self._stage_left = self._stage_eta.seconds_left(progress)
        self._draw()

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Show the variant of the running trial."""
        self._counts.start_trial()
        self._trial = (number, variant)
        self._progress = None
        self._draw()

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Count the trial."""
        self._counts.end_trial(result_so_far)
        self._trial = None
        self._progress = None
        self._draw(is_due=True)

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """End the stage of confirmation."""
        self._progress = self._confirming = None
        self._draw(is_due=True)

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Print the sentence above the screen."""
        self._console.print(Text(one_line(text, limit=2000), style="bold red" if is_error else ""))

    def close(self) -> None:
        """Remove the screen and print one line that sums up."""
        if self._is_closed:
            return
        self._is_closed = True
        self._live.stop()
        if self._counts.n_done:
            self._console.print(Text(closing_text(self._counts, self._glyphs)))

    def _draw(self, is_due: bool = False) -> None:
        """Draw a frame if it is due or the last one is a quarter of a second old."""
        now = self._clock()
        if self._is_closed or not (is_due or now - self._last_frame >= _SECONDS_BETWEEN_FRAMES):
            return
        self._last_frame = now
        if not self._live.is_started:
            self._live.start()
        self._live.update(self.frame(), refresh=True)

    def frame(self) -> RenderableType:
        """Return the screen as it is now."""
        parts: list[RenderableType] = [self._heading()]
        if self._trial is not None:
            number, variant = self._trial
            parts.append(Text(f"trial {number}  {variant_text(variant, self._parameters, self._glyphs)}"))
        if self._confirming is not None:
            parts.append(Text(f"measuring the finalists again: {one_line(self._confirming.note)}"))
        parts.append(self._stage())
        if self._counts.n_done:
            parts += [Text(), self._front(), self._bests()]
        if self._counts.failures:
            parts += [Text(), Text("last failures", style="bold")]
            parts += [Text(f"  trial {number}: {one_line(reason)}") for number, reason in self._counts.failures]
        return Group(*parts)

    def _heading(self) -> RenderableType:
        info, left = self._counts, self._counts.seconds_left
        counts = [f"{info.n_done} of {info.n_trials} trials", states_text(info.states), f"{info.n_cached} cached"]
        name = Text.assemble((self._space.name, "bold"), "  ", self._glyphs.dot.join(counts))
        share = info.n_done / info.n_trials if info.n_trials else 1.0
        about = f"  about {duration_text(left)} left" if left and left >= 1.0 else ""
        return Group(name, Text.assemble(self._bar(share), f" {100 * share:3.0f} %", about))

    def _stage(self) -> RenderableType:
        progress = self._progress
        if progress is None:
            return Text()
        words = Text(f"{one_line(progress.stage, limit=40)}  ")
        if progress.total:
            share = min(1.0, progress.done / progress.total)
            words.append_text(self._bar(share)).append(f" {100 * share:3.0f} %")
            if self._stage_left:
                words.append(f"  about {duration_text(self._stage_left)} left")
        return words.append(f"  {one_line(progress.note)}", style="dim")

    def _front(self) -> Text:
        info = self._counts
        words = Text(f"front  {info.n_front} variant{'' if info.n_front == 1 else 's'}", style="bold")
        if info.hypervolume_ratio is not None:
            words.append(f"{self._glyphs.dot}hypervolume {100 * info.hypervolume_ratio:.1f} %")
        elif info.hypervolume is not None:
            words.append(f"{self._glyphs.dot}hypervolume {info.hypervolume:.4g}")
        return words

    def _bests(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_row("", Text("best", style="dim"), "", Text("baseline", style="dim"), "")
        for best in self._counts.bests.values():
            baseline = "" if best.baseline is None else value_text(best.metric, best.baseline)
            if best.value is None:
                table.add_row(Text(f"  {metric_title(best.metric)}"), "none feasible yet", "", baseline, "")
            else:
                gain = Text(gain_text(best.metric, best.value, best.baseline, self._glyphs), style="green")
                shown = Text(value_text(best.metric, best.value))
                trial = Text(f"trial {best.trial}", style="dim")
                table.add_row(Text(f"  {metric_title(best.metric)}"), shown, gain, baseline, trial)
        return table

    def _bar(self, share: float) -> Text:
        columns = max(5, min(_BAR_COLUMNS, self._console.width // 3))
        n_done = round(columns * share)
        done, left = self._glyphs.bar_done * n_done, self._glyphs.bar_left * (columns - n_done)
        return Text.assemble((done, "cyan"), (left, "dim"))
