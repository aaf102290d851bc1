"""StudyWatch: a study that another process may be writing, read again and again without ever writing to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from explorer.errors import UsageError
from explorer.study.confirmation_file import NAME as CONFIRMATION_NAME
from explorer.study.database import connect_to_look
from explorer.study.lock import held_since
from explorer.study.now import Now, read_now
from explorer.study.place import study_place
from explorer.study.read import read_study, require_no_trials
from explorer.study.result import StudyResult


@dataclass(frozen=True, slots=True)
class Sight:
    """A study as it was seen at one moment.

    `since` is when the coordinator that is at work on it began; None when none is. `now` is what it is at.
    """

    result: StudyResult
    since: float | None = None
    now: Now | None = None


@final
class StudyWatch:
    """The study in a folder. Methods raise StudyDamaged or StudyError when its database does not read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = study_place(folder, None)
        self._seen: object = None
        self._result: StudyResult | None = None

    def look(self) -> Sight:
        """The study as it is now; only what is new is read. Raises UsageError when there is no study."""
        # In this order: a study whose coordinator had gone before it was read is not read short of its last trials.
        since = held_since(self._folder)
        now = None if since is None else read_now(self._folder, since)
        try:
            result = self._read_new()
        except UsageError:
            if now is None:
                raise
            return Sight(StudyResult(now.space.name, self._folder, now.space, (), {}), since, now)
        if now is not None and now.running is not None and result.trial(now.running[0]) is not None:
            now = replace(now, running=None, progress=None)  # it has ended, and nothing was said since
        return Sight(result, since, now)

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
        stored = read_study(self._place, self._folder.name, True, first, connect_to_look)
        if stored is not None:
            result = stored.result(self._folder)
            if trials and result.trials[:1] != trials[-1:]:
                return self._read(None)
            return replace(result, trials=(*trials[:-1], *result.trials))
        if known is not None:
            return known  # its database is being replaced
        require_no_trials(self._folder, self._place)
        raise UsageError(f"no study in {self._folder}: `explore start SPACE.yaml` makes one")

    def _stamp(self) -> object:
        """What changes whenever somebody writes to the database or confirms; None where that cannot be seen."""
        if not isinstance(self._place, Path):
            return None
        log = self._place.with_name(f"{self._place.name}-wal")
        return [_facts(file) for file in (self._place, log, self._folder / CONFIRMATION_NAME)]


def _facts(file: Path) -> tuple[int, int, int] | None:
    try:
        facts = file.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
