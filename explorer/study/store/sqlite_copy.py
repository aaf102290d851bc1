"""Copy a SQLite database into memory as of its last commit, without changing it or trusting the files beside it.

The file, its rollback journal and its write-ahead log are read under SQLite's own shared lock: while that is held, no
program that uses SQLite changes the file, except that a log may be copied into it. If there is a journal or a log to
apply, SQLite itself does so, to a copy in a private folder: in place it would write, and obey the names in a journal.

`require_plain_schema` refuses everything in a schema but tables of values and indexes on columns: views, triggers,
virtual tables, generated columns, checks and expression indexes are programs that SQLite runs when a table is read.
It checks the SQL text and not what a row of the schema says of itself, since SQLite goes by the text.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain, repeat
from pathlib import Path

from explorer.study.store.sqlite_lock import close, is_reserved, reserved_lock, shared_lock
from explorer.system.files import scratch_folder

MAX_BYTES = 2**30
"""Maximal size of the database, and of each file beside it; 10,000 trials take about 40 MiB."""

_JOURNAL, _LOG = "-journal", "-wal"
_BESIDE = (_JOURNAL, _LOG, "-shm")
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")  # ends the name of a super-journal, which SQLite removes
_LOG_HEADER_BYTES = 32
_FILE_FORMATS = slice(18, 20)  # of a database's header: how it is written and read
_WITH_LOG, _WITHOUT_LOG = b"\2\2", b"\1\1"
_PLAIN = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # neither waits for a pipe's other end nor follows a link
_SMALLEST_LIMIT = 4096
_STEPS_AT_ONCE, _LEAST_STEPS, _STEPS_A_BYTE = 1000, 10_000_000, 4
"""Steps of SQLite's virtual machine: any query of a study takes less than one per byte."""

_TABLE = re.compile(r"CREATE TABLE ")
_INDEX = re.compile(r"CREATE (UNIQUE )?INDEX [^()]*\([^()]*\)\Z")  # in time that grows with its length alone
_OTHER = re.compile(r"CREATE (VIRTUAL TABLE|VIEW|TRIGGER)\b", re.IGNORECASE)
# Of Optuna's own tables, in this version or an earlier one.
_KNOWN_CHECK = re.compile(r"CHECK \((version_info_id ?= ?1|\w+ IN \('\w+'(, '\w+')*\))\)")
_COMPUTED = re.compile(r"\b(AS|CHECK|GENERATED)\b|\bDEFAULT\s*\(|/\*|--", re.IGNORECASE)  # or hides that it does


def private_copy(path: Path, timeout_s: float) -> bytes:
    """Return the database at its last commit, as a file's content that needs neither journal nor log.

    `timeout_s` is how long another program may keep the file locked. Raises TimeoutError after that, ValueError when a
    file is not what SQLite writes for one database, or too large; sqlite3.Error and OSError.
    """
    require_harmless_files(path)
    file, deadline = _real(path), time.monotonic() + timeout_s
    with _opened(file) as database, shared_lock(database, timeout_s):
        while (parts := _parts(database, file)) is None:
            if time.monotonic() >= deadline:
                raise TimeoutError("another program writes without end")
    if parts[_LOG] or not _is_cold(parts[_JOURNAL]):
        return _recovered(parts)
    content = parts[""]
    if content[_FILE_FORMATS] == _WITH_LOG:
        content[_FILE_FORMATS] = _WITHOUT_LOG
    return bytes(content)


def limit_queries(connection: sqlite3.Connection, n_bytes: int) -> None:
    """Limit the steps of a query and the size of a value to what a study in a file of `n_bytes` can need.

    Cyclic pages and self-joins otherwise run without end. SQLite then raises SQLITE_INTERRUPT or SQLITE_TOOBIG.
    """
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(_SMALLEST_LIMIT, n_bytes))
    n_steps = _LEAST_STEPS + _STEPS_A_BYTE * n_bytes
    # Not a function of Python's: Ctrl-C would end that, and be lost with it.
    is_enough = chain(repeat(0, n_steps // _STEPS_AT_ONCE), repeat(1)).__next__
    connection.set_progress_handler(is_enough, _STEPS_AT_ONCE)


def require_plain_schema(connection: sqlite3.Connection) -> None:
    """Raise ValueError, with the name, when the database holds anything but tables and indexes."""
    for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        if (what := _what_is_wrong(kind, text)) is not None:
            raise ValueError(f"it holds the {what} {name!r}, which no study has")


def _what_is_wrong(kind: object, text: object) -> str | None:
    """Return what such a row of the schema defines; None for a table or an index."""
    if text is None and kind == "index":
        return None  # the index of a UNIQUE or PRIMARY KEY, which SQLite makes by itself
    if not isinstance(text, str):
        return f"{kind} of no text"
    if kind == "table" and _TABLE.match(text):
        return "table that computes" if _COMPUTED.search(_KNOWN_CHECK.sub("", text)) else None
    if kind == "index":
        return None if _INDEX.match(text) else "index on an expression"
    other = _OTHER.match(text)
    return other.group(1).lower() if other else str(kind)


def require_harmless_files(path: Path) -> None:
    """Raise ValueError if opening the database with SQLite could do harm; OSError.

    That is when a file beside it is not a plain file of SQLite's, or its journal names another file.
    """
    for file in {path, _real(path)}:
        for suffix in _BESIDE:
            if _is_plain_file(_beside(file, suffix)) and file.is_symlink():
                raise ValueError(f"it is a link, and {file.name}{suffix} lies beside that")
    _require_no_other_file(_read_beside(_real(path), _JOURNAL, -len(_JOURNAL_MAGIC)))


def remove_files_beside(path: Path) -> None:
    """Remove what a deleted database left: SQLite would use it for the next one. Raises as `require_harmless_files`."""
    require_harmless_files(path)
    for suffix in _BESIDE:
        _beside(_real(path), suffix).unlink(missing_ok=True)


def remove_cold(path: Path) -> None:
    """Remove a journal with nothing to roll back, unless a process is writing. Raises as `require_harmless_files`."""
    require_harmless_files(path)
    file = _real(path)
    journal = _beside(file, _JOURNAL)
    if not journal.exists():
        return
    with _opened(file, os.O_RDWR) as database, reserved_lock(database) as is_ours:
        if is_ours and _is_cold(_read_beside(file, _JOURNAL, 1)):
            journal.unlink(missing_ok=True)


def _parts(database: int, file: Path) -> dict[str, bytearray] | None:
    """Return database, rollback journal and log of one moment, by suffix; None when the log was restarted meanwhile.

    Under a shared lock, only pages of the log are copied into the database: a content with some of them gets the others
    from the log, which is read afterwards. A journal of a reserved database belongs to a waiting writer.
    """
    head = _read_beside(file, _LOG, _LOG_HEADER_BYTES)
    content = _read(database, MAX_BYTES)
    log = _read_beside(file, _LOG, MAX_BYTES)
    if not head == log[:_LOG_HEADER_BYTES] == _read_beside(file, _LOG, _LOG_HEADER_BYTES):
        return None
    journal = bytearray() if is_reserved(database) else _read_beside(file, _JOURNAL, MAX_BYTES)
    return {"": content, _JOURNAL: journal, _LOG: log}


def _recovered(parts: Mapping[str, bytes | bytearray]) -> bytes:
    """Return the database with its journal rolled back, or its log applied, by SQLite. Raises as `private_copy`."""
    _require_no_other_file(parts[_JOURNAL])
    with scratch_folder() as folder:
        copy = Path(folder) / "copy.db"
        for suffix, content in parts.items():
            _beside(copy, suffix).write_bytes(content)
        with closing(sqlite3.connect(copy)) as connection:
            limit_queries(connection, sum(map(len, parts.values())))
            connection.execute("PRAGMA journal_mode=DELETE")
        _require_size(copy.stat().st_size, "it")
        return copy.read_bytes()


def _require_no_other_file(journal: bytes | bytearray) -> None:
    """Raise ValueError when a journal that ends so names a super-journal."""
    if journal.endswith(_JOURNAL_MAGIC):
        raise ValueError("its rollback journal names another file (a super-journal), which SQLite would remove")


def _is_cold(journal: bytes | bytearray) -> bool:
    """Return whether SQLite ignores a journal that begins so: it is empty, or its header was never written."""
    return journal[:1] in (b"", b"\0")


def _real(path: Path) -> Path:
    """Return where the file really is: SQLite uses the files beside that. For a cyclic link it is the link."""
    return Path(os.path.realpath(path))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


@contextmanager
def _opened(file: Path, access: int = os.O_RDONLY) -> Iterator[int]:
    """Open the database file, which must be a plain file and not too large. Raises ValueError, OSError."""
    descriptor = os.open(file, access | _PLAIN)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is not a regular file")
        _require_size(facts.st_size, "it")
        yield descriptor
    finally:
        close(descriptor)


def _is_plain_file(path: Path) -> bool:
    """Return whether the file exists. Raises ValueError when it is none of SQLite's."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError(f"{path.name} is not a regular file")
    if facts.st_nlink > 1:
        raise ValueError(f"{path.name} has another name elsewhere")
    _require_size(facts.st_size, path.name)
    return True


def _require_size(size: int, what: str) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"{what} has {size:,} bytes, and a study's has at most {MAX_BYTES:,}")


def _read_beside(file: Path, suffix: str, n_bytes: int) -> bytearray:
    """Return the first bytes of the file beside the database, or the last when negative; empty without one.

    Not for shared memory (-shm), whose closing would drop SQLite's locks.
    """
    path = _beside(file, suffix)
    if not _is_plain_file(path):
        return bytearray()
    try:
        descriptor = os.open(path, os.O_RDONLY | _PLAIN)
    except FileNotFoundError:  # its transaction has just ended
        return bytearray()
    try:
        return _read(descriptor, n_bytes)
    finally:
        os.close(descriptor)


def _read(descriptor: int, n_bytes: int) -> bytearray:
    """Return the first bytes of a file, or the last when negative; at most its present size."""
    size = os.fstat(descriptor).st_size
    begin, content = max(0, size + n_bytes) if n_bytes < 0 else 0, bytearray(min(abs(n_bytes), size))
    n_read = 0
    with memoryview(content) as view:
        while n_read < len(content) and (n := os.preadv(descriptor, [view[n_read:]], begin + n_read)):
            n_read += n
    del content[n_read:]
    return content
