"""StudyWatch: a study that another process may be writing, read again and again without ever writing to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import final

from explorer.errors import UsageError
from explorer.study.database import connect_to_look
from explorer.study.lock import is_held
from explorer.study.place import study_place
from explorer.study.read import read_study, require_no_trials
from explorer.study.result import StudyResult


@final
class StudyWatch:
    """The study in a folder. Methods raise StudyDamaged or StudyError when its database does not read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = study_place(folder, None)
        self._seen: object = None
        self._result: StudyResult | None = None

    @property
    def is_running(self) -> bool:
        """Whether a coordinator is at work on it."""
        return is_held(self._folder)

    def result(self) -> StudyResult:
        """What the study has found by now; only what is new is read. Raises UsageError when there is no study."""
        stamp = self._stamp()
        if self._result is None or stamp is None or stamp != self._seen:
            self._result = self._read(self._result)
            self._seen = stamp
        return self._result

    def _read(self, known: StudyResult | None) -> StudyResult:
        # A study whose baseline has no result may be begun anew; every other one only grows.
        trials = () if known is None or known.baseline is None else known.trials
        first = trials[-1].number + 1 if trials else 0
        stored = read_study(self._place, self._folder.name, True, first, connect_to_look)
        if stored is not None:
            result = stored.result(self._folder)
            return replace(result, trials=(*trials, *result.trials))
        if known is not None:
            return known  # its database is being replaced
        require_no_trials(self._folder, self._place)
        raise UsageError(f"no study in {self._folder}: `explore start SPACE.yaml` makes one")

    def _stamp(self) -> object:
        """What changes whenever somebody writes to the database; None where that cannot be seen."""
        if not isinstance(self._place, Path):
            return None
        return [_facts(file) for file in (self._place, self._place.with_name(f"{self._place.name}-wal"))]


def _facts(file: Path) -> tuple[int, int, int] | None:
    try:
        facts = file.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
