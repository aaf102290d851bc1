"""Now: what a coordinator is at, in a small file beside its study, for whoever looks on from another process.

The file says which hold of the study's lock it belongs to: what a killed coordinator left behind is nobody's. It is
replaced whole, never flushed, and never the reason for anything: a study is as well off without it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from explorer.plain_file import read_plain_text
from explorer.records import Progress, Variant
from explorer.space.values import SearchSpace
from explorer.study.facts import space_from_json
from explorer.study.locate import NOW_NAME
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.sound import require_finite, require_texts, require_whole, sound_variant
from explorer.study.view import StudyView

_DRAFT_NAME = f".{NOW_NAME}.tmp"  # so that explorer.files.remove_drafts knows it
_S_BETWEEN_WRITES = 0.5


@dataclass(frozen=True, slots=True)
class Now:
    """What a coordinator is at: its search space, the trial that it tries, and how far the work at hand is."""

    space: SearchSpace
    running: tuple[int, Variant] | None = None
    progress: Progress | None = None


@contextmanager
def noted(
    view: StudyView, space: SearchSpace, folder: Path, since: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[StudyView]:
    """`view`, with what it is told noted down in `folder` until the block ends.

    To be used by who holds the study's lock, `since` being what `study_lock` gave. `clock` gives seconds that never go
    back.
    """
    try:
        yield _NotedView(view, space, folder, since, clock)
    finally:
        with suppress(OSError):  # one that stays says of itself that it is over
            (folder / NOW_NAME).unlink()


def read_now(folder: Path, since: float) -> Now | None:
    """What the coordinator that holds the study `since` then is at; None when it has not said, or it does not read."""
    try:
        values = json.loads(read_plain_text(folder / NOW_NAME))
        return _from_json(values) if values["since"] == since else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@final
class _NotedView:
    """Tells `view` and notes down what may interest others: each new trial and stage, and now and then the rest.

    While a probe takes times nothing is told, and so nothing is written.
    """

    def __init__(
        self,
        view: StudyView,
        space: SearchSpace,
        folder: Path,
        since: float,
        clock: Callable[[], float],
    ) -> None:
        self._view = view
        self._path = folder / NOW_NAME
        self._draft = folder / _DRAFT_NAME
        self._head = {"since": since, "space": asdict(space)}
        self._running: tuple[int, Variant] | None = None
        self._progress: Progress | None = None
        self._clock = clock
        self._written = -_S_BETWEEN_WRITES

    def on_progress(self, progress: Progress) -> None:
        """Note a new stage at once, and how far it is at most twice a second."""
        is_new = self._progress is None or progress.stage != self._progress.stage
        self._progress = progress
        if is_new or self._clock() - self._written >= _S_BETWEEN_WRITES:
            self._write()
        self._view.on_progress(progress)

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Note it."""
        self._running, self._progress = (number, variant), None
        self._write()
        self._view.on_trial_start(number, variant)

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Nothing to note: that it has ended stands in the database."""
        self._running = self._progress = None
        self._view.on_trial_end(record, result_so_far)

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """Nothing to note: it stands in a file of its own."""
        self._progress = None
        self._view.on_confirmed(result_so_far)

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Nothing to note: sentences are the terminal's."""
        self._view.on_note(text, is_error)

    def close(self) -> None:
        """Close the view."""
        self._view.close()

    def _write(self) -> None:
        self._written = self._clock()
        running = None if self._running is None else [self._running[0], self._running[1].to_json()]
        progress = None if self._progress is None else asdict(self._progress)
        try:
            self._draft.write_text(json.dumps({**self._head, "running": running, "progress": progress}), "ascii")
            os.replace(self._draft, self._path)
        except OSError:  # a full disk, say: whatever the study itself writes will tell; better no note than an old one
            for path in (self._draft, self._path):
                with suppress(OSError):
                    path.unlink()


def _from_json(values: Mapping[str, Any]) -> Now:
    """Raises KeyError, TypeError, ValueError or AttributeError for what no coordinator wrote."""
    running, progress = values["running"], values["progress"]
    return Now(
        space_from_json(values["space"]),
        None if running is None else (_number(running[0]), sound_variant(Variant.from_json(running[1]))),
        None if progress is None else _sound_progress(Progress(**progress)),
    )


def _number(value: int) -> int:
    require_whole("a trial's number", (value,))
    return value


def _sound_progress(progress: Progress) -> Progress:
    require_texts("progress", (progress.stage, progress.note))
    require_finite("progress", (progress.done, 0 if progress.total is None else progress.total))
    return progress
