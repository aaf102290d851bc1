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
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Literal, TypeVar

from explorer.disk_errors import DISK_FULL
from explorer.errors import ExplorerError, NotAvailable, StudyDamaged, StudyError
from explorer.files import scratch_folder
from explorer.study.place import Place, shown, without_secrets

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY_TIMEOUT_S = 60.0
"""How long another program, a dashboard say, may hold the database before writing gives up."""

_LOOK_TIMEOUT_S = 5.0
_PAGE_BYTES = 4096
_READ_BYTES, _MOST_READ_BYTES = 2**20, 2**30  # more may not stay in memory
_OWN_DESCRIPTORS = Path("/dev/fd")

Connector = Callable[[Path], sqlite3.Connection]
"""How a SQLite file is opened for reading."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_Kind = TypeVar("_Kind", bound=BaseException)


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Whether that version of SQLite has the fix of the write-ahead log's reset bug."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def journal_mode() -> str:
    """The journal that a study's database gets with the linked SQLite."""
    return "WAL" if has_safe_wal(sqlite3.sqlite_version_info) else "DELETE"


def journal_reason() -> str:
    """Why that journal, in a clause; empty for a write-ahead log, which is preferred."""
    if journal_mode() == "WAL":
        return ""
    return "a write-ahead log could corrupt the database with this version (https://sqlite.org/wal.html#walresetbug)"


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
    with scratch_folder() as folder:
        copy = Path(folder) / path.name
        for suffix in ("", "-journal"):
            shutil.copyfile(path.with_name(f"{path.name}{suffix}"), copy.with_name(f"{copy.name}{suffix}"))
        with closing(sqlite3.connect(copy)) as source:
            source.backup(memory)
    return memory


def remove_cold_journal(path: Path) -> None:
    """Remove a rollback journal whose head a crash left unwritten: nothing to roll back, which SQLite would leave there
    until it writes. What is to be rolled back is. A database that does not open is left to whoever reads it.
    """
    if not path.with_name(f"{path.name}-journal").exists():
        return
    with suppress(sqlite3.Error), closing(connect_to_read(path)) as connection:
        connection.execute("PRAGMA schema_version").fetchone()
        # From the one mode to the other it removes the journal, under a lock (https://sqlite.org/pragma.html).
        connection.execute("PRAGMA journal_mode=PERSIST").fetchone()
        connection.execute("PRAGMA journal_mode=DELETE").fetchone()


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
        _read_from_start_to_end(path)
        (verdict,) = connection.execute(f"PRAGMA {depth}(1)").fetchone()
    if verdict != "ok":
        raise damaged(path, str(verdict).splitlines()[0])


def _read_from_start_to_end(path: Path) -> None:
    """So that SQLite, which then goes from page to page in the order of its trees, finds the file in memory.

    A disk gives it twice as fast so. It is read by the descriptor of a connection that is open: whoever opens and
    closes the file beside SQLite drops all locks that the process holds on it (https://sqlite.org/howtocorrupt.html).
    """
    for name in os.listdir(_OWN_DESCRIPTORS) if _OWN_DESCRIPTORS.is_dir() else ():
        descriptor, offset = int(name), 0
        # Descriptors come and go meanwhile; and what does not read here, SQLite will say with its reason.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                while offset < _MOST_READ_BYTES and (part := os.pread(descriptor, _READ_BYTES, offset)):
                    offset += len(part)
                return


def damaged(place: Place, why: str) -> StudyDamaged:
    """The exception for a damaged database, with the way out."""
    return StudyDamaged(
        f"the study's database is damaged: {shown(place)}: {why}. It is left as it is; `explore start SPACE.yaml "
        "--fork NAME` starts a new study from the trials that are stored beside it"
    )


def engine_to_read(place: Place, connector: Connector = connect_to_read) -> Engine:
    """An engine for reading a SQLite file (a path) or another database (a URL). Raises NotAvailable."""
    import sqlalchemy

    if isinstance(place, Path):
        return sqlalchemy.create_engine("sqlite://", creator=lambda: connector(place))
    with translated(place):
        return sqlalchemy.create_engine(place)


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Turns a database's errors, however wrapped, into one sentence.

    That is StudyDamaged, StudyError (locked, gone, out of reach), NotAvailable (its driver is not installed), or
    OSError (disk full).
    """
    try:
        yield
    except ExplorerError:
        raise
    except Exception as error:
        cause = _wrapped(error, sqlite3.Error)
        said = _of_other(place, error) if cause is None else _of_sqlite(place, cause)
        if said is None:
            raise
        raise said from error


def _of_sqlite(place: Place, cause: sqlite3.Error) -> StudyError | OSError:
    """What an error of SQLite means for the study."""
    code = getattr(cause, "sqlite_errorcode", 0)
    primary = code & 0xFF  # the low byte
    if primary in _DAMAGED:
        return damaged(place, str(cause))
    if primary in _BUSY:
        return StudyError(
            f"another program has locked {shown(place)}, and does not let go of it: close it and start again"
        )
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return StudyError(
            f"{shown(place)} was moved or removed while the study used it: nothing more is stored. Put it back, with "
            "everything beside it, and start the study again to resume it"
        )
    refusal = OSError(errno.ENOSPC, "") if primary == sqlite3.SQLITE_FULL else _refusal(place)
    if refusal is not None and refusal.errno in DISK_FULL:
        return OSError(refusal.errno, os.strerror(refusal.errno), shown(place))
    reason = str(cause) if refusal is None else f"{cause}: {refusal.strerror}"
    return StudyError(
        f"the study's database cannot be used: {shown(place)}: {reason}. Nothing is lost that was reported as "
        "finished: see that its folder is there and can be written, then start again"
    )


def _refusal(place: Place) -> OSError | None:
    """The system's own word on why the file cannot grow: to SQLite a quota that is used up is any fault of a disk."""
    if not isinstance(place, Path):
        return None
    try:
        with TemporaryFile(dir=place.parent, buffering=0) as beside:
            beside.seek((place.stat().st_size if place.exists() else 0) + _PAGE_BYTES - 1)
            beside.write(b"\0")
            os.fsync(beside.fileno())
    except OSError as error:
        return error
    return None


def _of_other(place: Place, error: Exception) -> ExplorerError | None:
    """What an error of another database, or of reaching it, means; None when it is neither."""
    if isinstance(place, Path):
        return None
    import sqlalchemy
    from optuna.exceptions import StorageInternalError

    if isinstance(error, ImportError | sqlalchemy.exc.NoSuchModuleError):
        return NotAvailable(
            f"the database {shown(place)} needs a driver that is not here ({without_secrets(str(error), place)}): "
            "install it, or name another database with --storage"
        )
    cause = _wrapped(error, sqlalchemy.exc.SQLAlchemyError) or _wrapped(error, StorageInternalError)
    if cause is None:
        return None
    words = without_secrets(str(getattr(cause, "orig", None) or cause), place).strip().splitlines()
    return StudyError(
        f"the database {shown(place)} cannot be used: {words[0] if words else type(cause).__name__}. Nothing is lost "
        "that was reported as finished: see that it can be reached, then start again"
    )


def _wrapped(error: BaseException | None, kind: type[_Kind]) -> _Kind | None:
    """The error of that kind that `error` is or wraps."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
