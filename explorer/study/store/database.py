"""Open SQLite such that a stored result survives a power cut, and turn database errors into the study's.

`synchronous=FULL` flushes every commit. The rollback journal is used unless the linked SQLite has the fix of the
write-ahead log's reset bug (3.51.3; also 3.50.7 and 3.44.6), which could corrupt a database with two connections.

Readers use a private copy (`study.store.sqlite_copy`): the file may be untrusted, and SQLite obeys the files beside it.
A study's only writer opens the file itself, after such a copy was checked.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Literal, TypeVar

from explorer.errors import ExplorerError, NotAvailable, StudyDamaged, StudyError
from explorer.study.store.location import StorageLocation, text_of, without_secrets
from explorer.study.store.sqlite_copy import (
    limit_queries,
    private_copy,
    remove_cold,
    remove_files_beside,
    require_harmless_files,
    require_plain_schema,
)
from explorer.system.disk_errors import DISK_FULL

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY_TIMEOUT_S = 60.0
"""How long another program, for example a dashboard, may hold the database before writing fails."""

_PAGE_BYTES = 4096
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_TEXT = "Could not decode to UTF-8"  # has no error code, for it is Python's
_MAX_REASON = 200
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ENDLESS = {sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_TOOBIG}
_Kind = TypeVar("_Kind", bound=BaseException)


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Return whether that version of SQLite has the fix of the write-ahead log's reset bug."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def journal_mode() -> str:
    """Return the journal mode of a study's database with the linked SQLite."""
    return "WAL" if has_safe_wal(sqlite3.sqlite_version_info) else "DELETE"


def journal_reason() -> str:
    """Return the reason for the rollback journal, in a clause; "" for a write-ahead log, which is preferred."""
    if journal_mode() == "WAL":
        return ""
    return "a write-ahead log could corrupt the database with this version (https://sqlite.org/wal.html#walresetbug)"


def connect(path: Path, timeout_s: float = BUSY_TIMEOUT_S, is_draft: bool = False) -> sqlite3.Connection:
    """Connect for writing; create the file if there is none. A draft is flushed once, on completion.

    Raises StudyDamaged for dangerous files beside it; its content is for `check` to verify.
    """
    with _copying(path):
        require_harmless_files(path)
    connection = sqlite3.connect(path, timeout=timeout_s, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute(f"PRAGMA journal_mode={journal_mode()}")
    connection.execute(f"PRAGMA synchronous={'OFF' if is_draft else 'FULL'}")
    return connection


def connect_to_copy(path: Path, timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """Connect to a private copy in memory of the database at its last commit; the file itself is not changed.

    `timeout_s` is how long another program may keep it locked. Raises StudyDamaged when it, or a file beside it, is not
    a study's; StudyError when it is locked or cannot be read.
    """
    with _copying(path):
        content = private_copy(path, timeout_s)
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            if content:
                connection.deserialize(content)
            limit_queries(connection, len(content))
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA query_only=ON")
            require_plain_schema(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def remove_cold_journal(path: Path) -> None:
    """Remove the rollback journal if a crash left its header unwritten, so that nothing is to be rolled back.

    Raises StudyDamaged for a dangerous journal.
    """
    with _copying(path), suppress(OSError):  # one that stays is harmless
        remove_cold(path)


def remove_leftovers(path: Path) -> None:
    """Remove the files beside a deleted database. Raises StudyDamaged for dangerous files, StudyError."""
    with _copying(path):
        remove_files_beside(path)


@contextmanager
def _copying(path: Path) -> Iterator[None]:
    """Turn errors of a database's files into StudyDamaged or StudyError."""
    try:
        yield
    except ValueError as error:
        raise damaged(path, str(error)) from error
    except TimeoutError as error:
        raise _locked(path) from error
    except (OSError, MemoryError) as error:
        raise _unusable(path, getattr(error, "strerror", None) or "it does not fit into the memory") from error


def check(path: Path, depth: Literal["integrity_check", "quick_check"] = "integrity_check") -> None:
    """Raise StudyDamaged when SQLite finds damage, or for schema objects that no study has."""
    with translated(path), closing(connect_to_copy(path)) as connection:
        require_whole(connection, path, depth)


def require_whole(connection: sqlite3.Connection, path: Path, depth: Literal["integrity_check", "quick_check"]) -> None:
    """Raise StudyDamaged when SQLite finds structural damage in the connected copy; sqlite3.Error."""
    (verdict,) = connection.execute(f"PRAGMA {depth}(1)").fetchone()
    if verdict != "ok":
        raise damaged(path, str(verdict).splitlines()[0])


def damaged(location: StorageLocation, why: str) -> StudyDamaged:
    """Return the error for a damaged database, with the way to recover."""
    return StudyDamaged(
        f"the study's database is damaged: {text_of(location)}: {why}. It is left as it is; `explore start SPACE.yaml "
        "--fork NAME` starts a new study from the trials that are stored beside it"
    )


def engine_to_read(location: StorageLocation, timeout_s: float = BUSY_TIMEOUT_S, is_checked: bool = False) -> Engine:
    """Return an engine for reading a private copy of a SQLite file (a path) or another database (a URL).

    With `is_checked` the file's structure is checked first. Raises as `connect_to_copy`; NotAvailable.
    """
    import sqlalchemy

    with translated(location):
        if not isinstance(location, Path):
            return sqlalchemy.create_engine(location)
        copy = connect_to_copy(location, timeout_s)
        try:
            if is_checked:
                require_whole(copy, location, "quick_check")
        except BaseException:
            copy.close()
            raise
        return sqlalchemy.create_engine("sqlite://", creator=lambda: copy)


@contextmanager
def translated(location: StorageLocation) -> Iterator[None]:
    """Raise a database's errors, however wrapped, as the study's.

    Raises StudyDamaged, StudyError (locked, gone, unreachable), NotAvailable (driver not installed), and OSError
    (disk full).
    """
    try:
        yield
    except ExplorerError:
        raise
    except Exception as error:
        cause = _wrapped(error, sqlite3.Error)
        said = _of_other(location, error) if cause is None else _of_sqlite(location, cause)
        if said is None:
            raise
        raise said from error


def _of_sqlite(location: StorageLocation, cause: sqlite3.Error) -> StudyError | OSError:
    code = getattr(cause, "sqlite_errorcode", 0)
    primary = code & 0xFF  # the low byte
    if primary in _DAMAGED or str(cause).startswith(_NO_TEXT):
        return damaged(location, str(cause)[:_MAX_REASON])
    if primary in _BUSY:
        return _locked(location)
    if primary in _ENDLESS:
        return damaged(location, f"reading it takes more than any study of its size needs ({cause})")
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return StudyError(
            f"{text_of(location)} was moved or removed while the study used it: nothing more is stored. Put it back, "
            "with everything beside it, and start the study again to resume it"
        )
    refusal = OSError(errno.ENOSPC, "") if primary == sqlite3.SQLITE_FULL else _refusal(location)
    if refusal is not None and refusal.errno in DISK_FULL:
        return OSError(refusal.errno, os.strerror(refusal.errno), text_of(location))
    reason = str(cause) if refusal is None else f"{cause}: {refusal.strerror}"
    return _unusable(location, reason)


def _locked(location: StorageLocation) -> StudyError:
    return StudyError(
        f"another program has locked {text_of(location)}, and does not let go of it: close it and start again"
    )


def _unusable(location: StorageLocation, reason: str) -> StudyError:
    return StudyError(
        f"the study's database cannot be used: {text_of(location)}: {reason}. Nothing is lost that was reported as "
        "finished: see that its folder is there and can be written, then start again"
    )


def _refusal(location: StorageLocation) -> OSError | None:
    """Return the system's reason why the file cannot grow: SQLite reports a full quota as any disk error."""
    if not isinstance(location, Path):
        return None
    try:
        with TemporaryFile(dir=location.parent, buffering=0) as beside:
            beside.seek((location.stat().st_size if location.exists() else 0) + _PAGE_BYTES - 1)
            beside.write(b"\0")
            os.fsync(beside.fileno())
    except OSError as error:
        return error
    return None


def _of_other(location: StorageLocation, error: Exception) -> ExplorerError | None:
    """Return the study's error for one of another database; None when it is not a database error."""
    if isinstance(location, Path):
        return None
    import sqlalchemy
    from optuna.exceptions import StorageInternalError

    if isinstance(error, ImportError | sqlalchemy.exc.NoSuchModuleError):
        reason = without_secrets(str(error), location)
        return NotAvailable(
            f"the database {text_of(location)} needs a driver that is not here ({reason}): "
            "install it, or name another database with --storage"
        )
    cause = _wrapped(error, sqlalchemy.exc.SQLAlchemyError) or _wrapped(error, StorageInternalError)
    if cause is None:
        return None
    words = without_secrets(str(getattr(cause, "orig", None) or cause), location).strip().splitlines()
    return StudyError(
        f"the database {text_of(location)} cannot be used: {words[0] if words else type(cause).__name__}. Nothing is "
        "lost that was reported as finished: see that it can be reached, then start again"
    )


def _wrapped(error: BaseException | None, kind: type[_Kind]) -> _Kind | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
