"""A study whose disk refuses to be written from a chosen step on, and which is resumed once that is over.

    full_disk.py KIND FOLDER

KIND is `tmpfs` (a small file system is mounted at FOLDER and filled; the process must be allowed to mount), `limit` (no
file may grow: RLIMIT_FSIZE) or `read-only` (the study's folders lose their write permission; whoever starts this must
not override permissions). Exits with 0 when every promise holds at every step, else prints what does not.
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes import VOCABULARY, FakeEvaluator, RecordingView, small_space

from explorer.errors import ExplorerError
from explorer.study.loop import StudyTools, run_study
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.study.store.journal import Journal
from explorer.study.store.optuna_storage import StudyStorage
from explorer.system.files import write_text
from explorer.system.signals import Interrupt

N_TRIALS = 5


class Report:
    """What is written at the end of a study."""

    def __init__(self, study: Path) -> None:
        self._study = study

    def write(self, result: StudyResult) -> None:
        write_text(self._study / "report.html", "a report " * 1000)


STEPS: tuple[tuple[str, Any, str, int], ...] = (
    ("the database is made", StudyStorage, "create", 1),
    ("a trial begins in the database", StudyStorage, "begin", 3),
    ("an artifact is stored", FakeEvaluator, "evaluate", 3),
    ("a trial is kept in the journal", Journal, "write", 3),
    ("a trial is told to the database", StudyStorage, "finish", 3),
    ("the report is written", Report, "write", 1),
)
"""Before which call of what the disk begins to refuse."""


class SmallDisk:
    """A disk that is filled to its last page."""

    exit_code, words = 1, "disk full: .*No space left on device"

    def __init__(self, folder: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
        self._filler = folder / "filler"

    def refuse(self, study: Path) -> None:
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT)
        for size in (2**16, 2**12, 1):
            with suppress(OSError):  # it is full, but for less than that
                while os.write(descriptor, bytes(size)):
                    continue
        os.close(descriptor)

    def relent(self, study: Path) -> None:
        self._filler.unlink()


class Limit:
    """No file may grow, as under a quota that is used up: SQLite calls that an error of input and output."""

    exit_code, words = 1, "disk full: .*File too large"

    def __init__(self, folder: Path) -> None:
        self._hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def refuse(self, study: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._hard))

    def relent(self, study: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._hard, self._hard))


class ReadOnly:
    """Folders in which nothing can be made."""

    exit_code, words = 6, "cannot be used.*Permission denied.*lost"

    def __init__(self, folder: Path) -> None:
        self._folders: list[Path] = []

    def refuse(self, study: Path) -> None:
        self._folders = [study, *(path for path in study.rglob("*") if path.is_dir())]
        for path in self._folders:
            path.chmod(0o555)

    def relent(self, study: Path) -> None:
        for path in self._folders:
            path.chmod(0o755)


KINDS = {"tmpfs": SmallDisk, "limit": Limit, "read-only": ReadOnly}
Disk = SmallDisk | Limit | ReadOnly


def run(study: Path, view: RecordingView) -> StudyResult:
    space, evaluator, report = small_space("full", N_TRIALS, "tpe"), FakeEvaluator(study), Report(study)
    with Interrupt() as interrupt:
        tools = StudyTools(VOCABULARY, evaluator, view, interrupt, report.write)
        return run_study(space, study, tools, is_confirming=False)


def refusing(disk: Disk, study: Path, owner: Any, name: str, occurrence: int) -> Callable[[], None]:
    """Let the disk refuse before that call; returns what takes the interception away."""
    step = owner.__dict__[name]
    function, calls = getattr(step, "__func__", step), 0

    def intercepted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == occurrence:
            disk.refuse(study)
        return function(*arguments, **options)

    setattr(owner, name, classmethod(intercepted) if isinstance(step, classmethod) else intercepted)
    return lambda: setattr(owner, name, step)


def violated(disk: Disk, study: Path, step: tuple[Any, str, int], expected: list[object]) -> list[str]:
    """The promises that are not kept when the disk refuses at that step."""
    view, said = RecordingView(), None
    undo = refusing(disk, study, *step)
    try:
        run(study, view)
    except ExplorerError as error:
        said = error
    finally:
        disk.relent(study)
        undo()
    left = [path.name for path in (*study.rglob(".*"), *study.glob("study.db-*"))]
    integrity = whole(study / "study.db")
    again = RecordingView()
    result = run(study, again)
    claims = {
        f"it ends with a sentence and {disk.exit_code}: {said!r}": said is not None
        and said.exit_code == disk.exit_code
        and re.search(disk.words, str(said)) is not None,
        f"nothing half-written is left: {left}": not left,
        "the database is whole": integrity,
        "what was reported as finished is there": list(result.trials[: len(view.records)]) == view.records,
        "no trial is run twice": len(again.records) <= N_TRIALS - len(view.records),
        "resumed, it tries what an undisturbed study tries": [trial.variant for trial in result.trials] == expected,
        "it can be read": load_result(study).trials == result.trials,
        "the report is there": (study / "report.html").is_file(),
        "the lock is let go": not (study / "study.lock.json").exists(),
    }
    return [claim for claim, holds in claims.items() if not holds]


def whole(database: Path) -> bool:
    """Whether a database, if there is one, is whole."""
    if not database.exists():
        return True
    with closing(sqlite3.connect(database)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def main() -> int:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    os.environ["EXPLORER_CACHE"] = f"{folder}-cache"
    disk = KINDS[kind](folder)
    expected: list[object] = [trial.variant for trial in run(folder / "undisturbed", RecordingView()).trials]
    faults = []
    for number, (what, owner, name, occurrence) in enumerate(STEPS):
        broken = violated(disk, folder / str(number), (owner, name, occurrence), expected)
        faults += [f"{what}: {claim}" for claim in broken]
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
