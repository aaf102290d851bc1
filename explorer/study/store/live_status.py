"""The live status of a study: what its coordinator is doing, in a small file, and StudyPoller, which reads both.

The file names the hold of the study's lock to which it belongs, so that what a killed coordinator left is ignored. It
is replaced atomically and never flushed; nothing depends on it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from explorer.errors import UsageError
from explorer.records import Progress, Variant
from explorer.space.values import SearchSpace
from explorer.study.confirm.confirmation import NAME as CONFIRMATION_NAME
from explorer.study.evaluation import StudyView
from explorer.study.read import read_study, require_no_trials
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.facts import space_from_json
from explorer.study.store.location import LIVE_STATUS_NAME, storage_location
from explorer.study.store.lock import held_since
from explorer.study.store.validation import storable, valid_variant
from explorer.system.files import read_plain_text
from explorer.typed_json import from_json

_DRAFT_NAME = f".{LIVE_STATUS_NAME}.tmp"  # a name that explorer.system.files.remove_drafts removes
_S_BETWEEN_WRITES = 0.5
_LOCKED_S = 5.0
"""How long another program may lock the database before that is reported; the next poll follows soon."""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """A coordinator's search space, running trial, and progress."""

    space: SearchSpace
    running: tuple[int, Variant] | None = None
    progress: Progress | None = None


@contextmanager
def recording_live_status(
    view: StudyView, space: SearchSpace, folder: Path, since: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[StudyView]:
    """Yield a view that passes everything to `view` and records the live status in `folder` until the block ends.

    The caller holds the study's lock; `since` is what `study_lock` gave. `clock` gives seconds that never go back.
    """
    try:
        yield _RecordingView(view, space, folder, since, clock)
    finally:
        with suppress(OSError):  # one that stays is recognized by its `since`
            (folder / LIVE_STATUS_NAME).unlink()


def read_live_status(folder: Path, since: float) -> LiveStatus | None:
    """Return the live status of the coordinator that holds the study since `since`; None without a readable one."""
    try:
        values = json.loads(read_plain_text(folder / LIVE_STATUS_NAME))
        return _from_json(values) if values["since"] == since else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@final
class _RecordingView(StudyView):
    """Passes all events to `view` and records new trials and stages, and progress at most twice a second.

    While a probe takes times there are no events, so nothing is written.
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
        self._path = folder / LIVE_STATUS_NAME
        self._draft = folder / _DRAFT_NAME
        self._head = {"since": since, "space": asdict(space)}
        self._running: tuple[int, Variant] | None = None
        self._progress: Progress | None = None
        self._clock = clock
        self._written = -_S_BETWEEN_WRITES

    def on_progress(self, progress: Progress) -> None:
        """Record a new stage at once, and progress at most twice a second."""
        is_new = self._progress is None or progress.stage != self._progress.stage
        self._progress = progress
        if is_new or self._clock() - self._written >= _S_BETWEEN_WRITES:
            self._write()
        self._view.on_progress(progress)

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Record the trial."""
        self._running, self._progress = (number, variant), None
        self._write()
        self._view.on_trial_start(number, variant)

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Record nothing: the database has the trial's end."""
        self._running = self._progress = None
        self._view.on_trial_end(record, result_so_far)

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """Record nothing: a confirmation has its own file."""
        self._progress = None
        self._view.on_confirmed(result_so_far)

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Record nothing: sentences are for the terminal."""
        self._view.on_note(text, is_error)

    def close(self) -> None:
        """Close the view."""
        self._view.close()

    def _write(self) -> None:
        self._written = self._clock()
        running = None if self._running is None else [self._running[0], self._running[1].to_json()]
        progress = None
        if self._progress is not None:
            progress = asdict(self._progress) | {"note": storable(self._progress.note)}
        try:
            self._draft.write_text(json.dumps({**self._head, "running": running, "progress": progress}), "ascii")
            os.replace(self._draft, self._path)
        except OSError:  # a full disk, say: whatever the study itself writes will tell; better no note than an old one
            for path in (self._draft, self._path):
                with suppress(OSError):
                    path.unlink()


def _from_json(values: Mapping[str, Any]) -> LiveStatus:
    """Return the live status. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
    running, progress = values["running"], values["progress"]
    if running is not None:
        number, variant = from_json(tuple[int, dict[str, Any]], running, "the running trial")
        running = (number, valid_variant(Variant.from_json(variant)))
    if progress is not None:
        progress = from_json(Progress, progress, "progress")
    return LiveStatus(space_from_json(values["space"]), running, progress)


@dataclass(frozen=True, slots=True)
class PolledStudy:
    """A study, since when a coordinator works on it (None without one), and its live status."""

    result: StudyResult
    since: float | None = None
    live_status: LiveStatus | None = None


@final
class StudyPoller:
    """The study in a folder. Methods raise StudyDamaged or StudyError when its database cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._location = storage_location(folder, None)
        self._seen: object = None
        self._result: StudyResult | None = None

    def poll(self) -> PolledStudy:
        """Return the study's present state, reading only what is new. Raises UsageError when there is no study."""
        # In this order: a study whose coordinator had gone before it was read is not read short of its last trials.
        since = held_since(self._folder)
        status = None if since is None else read_live_status(self._folder, since)
        try:
            result = self._read_new()
        except UsageError:
            if status is None:
                raise
            return PolledStudy(StudyResult(status.space.name, self._folder, status.space, (), {}), since, status)
        if status is not None and status.running is not None and result.trial(status.running[0]) is not None:
            status = replace(status, running=None, progress=None)  # it has ended, and nothing was said since
        return PolledStudy(result, since, status)

    def _read_new(self) -> StudyResult:
        stamp = self._stamp()
        if self._result is None or stamp is None or stamp != self._seen:
            self._result = self._read(self._result)
            self._seen = stamp
        return self._result

    def _read(self, known: StudyResult | None) -> StudyResult:
        # The last trial that is known is read again: where it is another one by now, the study was begun anew.
        trials = () if known is None else known.trials
        first = trials[-1].number if trials else 0
        stored = read_study(self._location, self._folder.name, True, first, _LOCKED_S)
        if stored is not None:
            result = stored.result(self._folder)
            if trials and result.trials[:1] != trials[-1:]:
                return self._read(None)
            return replace(result, trials=(*trials[:-1], *result.trials))
        if known is not None:
            return known  # its database is being replaced
        require_no_trials(self._folder, self._location)
        raise UsageError(f"no study in {self._folder}: `explore start SPACE.yaml` makes one")

    def _stamp(self) -> object:
        """Return a value that changes with every write to the database or confirmation; None where that is unknown."""
        if not isinstance(self._location, Path):
            return None
        log = self._location.with_name(f"{self._location.name}-wal")
        return [_file_facts(file) for file in (self._location, log, self._folder / CONFIRMATION_NAME)]


def _file_facts(file: Path) -> tuple[int, int, int] | None:
    """Return a value that changes with the file; None without one."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
