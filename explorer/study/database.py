"""Database: SQLite opened so that a result that was reported as stored survives a power cut.

`synchronous=FULL` flushes every commit. The rollback journal is used unless the linked SQLite has the fix of the
write-ahead log's reset bug (3.51.3; also 3.50.7 and 3.44.6), which could corrupt a database with two connections.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from explorer.errors import StudyDamaged, StudyError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY_TIMEOUT_S = 60.0
"""How long another program, a dashboard say, may hold the database before writing gives up."""

_LOOK_TIMEOUT_S = 5.0

Connector = Callable[[Path], sqlite3.Connection]
"""How a SQLite file is opened for reading."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Whether that version of SQLite has the fix of the write-ahead log's reset bug."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def journal_mode() -> str:
    """The journal that a study's database gets with the linked SQLite."""
    return "WAL" if has_safe_wal(sqlite3.sqlite_version_info) else "DELETE"


def connect(path: Path, timeout_s: float = BUSY_TIMEOUT_S, is_draft: bool = False) -> sqlite3.Connection:
    """A connection for writing; makes the file if there is none. A draft is flushed once, by whoever completes it."""
    connection = sqlite3.connect(path, timeout=timeout_s, check_same_thread=False)
    connection.execute(f"PRAGMA journal_mode={journal_mode()}")
    connection.execute(f"PRAGMA synchronous={'OFF' if is_draft else 'FULL'}")
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that never makes a file.

    It is not `mode=ro`: after a crash even a reader has to roll the unfinished transaction back.
    """
    uri = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def connect_to_look(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing beside the file or in it, not even to roll back what a crash left.

    A finished database with a write-ahead log would get one again, even from `mode=ro`; as long as it has none,
    nobody writes, and it is as good as immutable.
    """
    is_at_rest = not any(path.with_name(f"{path.name}{suffix}").exists() for suffix in ("-wal", "-journal"))
    uri = f"{path.resolve().as_uri()}?mode=ro" + ("&immutable=1" if is_at_rest and _has_log(path) else "")
    connection = sqlite3.connect(uri, uri=True, timeout=_LOOK_TIMEOUT_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        connection.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        return _rolled_back(path)
    return connection


def _rolled_back(path: Path) -> sqlite3.Connection:
    """The database in memory, without the transaction that a crash left half-written in the file."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for suffix in ("", "-journal"):
            shutil.copyfile(path.with_name(f"{path.name}{suffix}"), copy.with_name(f"{copy.name}{suffix}"))
        with closing(sqlite3.connect(copy)) as source:
            source.backup(memory)
    return memory


def _has_log(path: Path) -> bool:
    """Whether the file's header asks for a write-ahead log (https://sqlite.org/fileformat.html, offset 18)."""
    with path.open("rb") as file:
        return file.read(19)[18:] == b"\x02"


def check(
    path: Path,
    depth: Literal["integrity_check", "quick_check"] = "integrity_check",
    connector: Connector = connect_to_read,
) -> None:
    """Raises StudyDamaged when SQLite finds the file damaged."""
    with translated(path), closing(connector(path)) as connection:
        (verdict,) = connection.execute(f"PRAGMA {depth}(1)").fetchone()
    if verdict != "ok":
        raise damaged(path, str(verdict).splitlines()[0])


def damaged(place: object, why: str) -> StudyDamaged:
    """The exception for a damaged database, with the way out."""
    return StudyDamaged(
        f"the study's database is damaged: {place}: {why}. It is left as it is; `explore start … --fork NAME` starts a "
        "new study from the trials that are stored beside it"
    )


def engine_to_read(place: Path | str, connector: Connector = connect_to_read) -> Engine:
    """An engine for reading a SQLite file (a path) or another database (a URL of SQLAlchemy). Raises UsageError."""
    import sqlalchemy

    if isinstance(place, Path):
        return sqlalchemy.create_engine("sqlite://", creator=lambda: connector(place))
    try:
        return sqlalchemy.create_engine(place)
    except ImportError as error:
        raise UsageError(f"the study's database needs a driver that is not installed: {error}") from error


@contextmanager
def translated(place: object) -> Iterator[None]:
    """Turns SQLite's errors, however wrapped, into StudyDamaged, StudyError (locked), or OSError (disk full)."""
    try:
        yield
    except Exception as error:
        cause = _sqlite_error(error)
        if cause is None:
            raise
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
        if code in _DAMAGED:
            raise damaged(place, str(cause)) from error
        if code in _BUSY:
            raise StudyError(
                f"another program has locked {place}, and does not let go of it: close it and start again"
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place)) from error
        raise StudyError(f"the study's database cannot be used: {place}: {cause}") from error


def _sqlite_error(error: BaseException | None) -> sqlite3.Error | None:
    """The error of SQLite that `error` is or wraps."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__ or error.__context__
    return error
