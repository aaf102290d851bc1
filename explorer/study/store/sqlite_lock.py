"""SQLite's own locks on a database file, taken by this program and not by SQLite.

While a shared lock is held, no program that uses SQLite changes the file, except that a write-ahead log may be copied
into it. Offsets are those of https://sqlite.org/lockingv3.html: pending, reserved and shared bytes.

Where available, the locks belong to the open file and not to the process, so that they neither convert nor drop those
of SQLite in this process. Closing a file would drop the latter, so a file that this process's SQLite has open stays
open until that closes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PENDING, _RESERVED, _SHARED, _N_SHARED = 0x40000000, 0x40000001, 0x40000002, 510
_FLOCK = struct.Struct("hhqqi4x")  # of Linux: kind, whence, start, length, process
_S_BETWEEN_TRIES = 0.01

_open_still: set[int] = set()
_closing = threading.Lock()


@contextmanager
def shared_lock(database: int, timeout_s: float) -> Iterator[None]:
    """Hold a shared lock on the file during the block. Raises TimeoutError, and OSError without such locks."""
    deadline = time.monotonic() + timeout_s
    while not _has_shared(database):
        if time.monotonic() >= deadline:
            raise TimeoutError("another program has locked the file")
        time.sleep(_S_BETWEEN_TRIES)
    try:
        yield
    finally:
        _lock(database, fcntl.F_UNLCK, _SHARED, _N_SHARED)


def is_reserved(database: int) -> bool:
    """Return whether a process is preparing to write: the rollback journal then belongs to a live transaction."""
    request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _RESERVED, 1, 0)
    kind, *_ = _FLOCK.unpack(_fcntl(database, fcntl.F_OFD_GETLK, fcntl.F_GETLK, request))
    return bool(kind != fcntl.F_UNLCK)


@contextmanager
def reserved_lock(database: int) -> Iterator[bool]:
    """Prevent all writing during the block; yields False at once when another process is writing.

    The file must be open for writing. Raises OSError without such locks.
    """
    is_held = _lock(database, fcntl.F_WRLCK, _RESERVED)
    try:
        yield is_held
    finally:
        if is_held:
            _lock(database, fcntl.F_UNLCK, _RESERVED)


def close(descriptor: int) -> None:
    """Close a database file, at once or once this process's SQLite has closed it: that would drop SQLite's locks."""
    with _closing:
        _open_still.add(descriptor)
        names = [name for name in os.listdir("/proc/self/fd") if int(name) not in _open_still]
        in_use = {_identity(int(name)) for name in names}
        for one in tuple(_open_still):
            if _identity(one) not in in_use:
                _open_still.discard(one)
                os.close(one)


def _has_shared(database: int) -> bool:
    """Try to take a shared lock. A waiting writer holds the pending byte and goes first."""
    if not _lock(database, fcntl.F_RDLCK, _PENDING):
        return False
    try:
        return _lock(database, fcntl.F_RDLCK, _SHARED, _N_SHARED)
    finally:
        _lock(database, fcntl.F_UNLCK, _PENDING)


def _lock(database: int, kind: int, start: int, length: int = 1) -> bool:
    """Set or drop a lock; return False when another process's lock excludes it. Raises OSError without such locks."""
    try:
        _fcntl(database, fcntl.F_OFD_SETLK, fcntl.F_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _fcntl(database: int, of_file: int, of_process: int, request: bytes) -> bytes:
    """Call fcntl for a lock of the open file, which neither converts nor drops those of SQLite in this process.

    A system without such locks has those of the process.
    """
    try:
        return fcntl.fcntl(database, of_file, request)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return fcntl.fcntl(database, of_process, request)


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return device and number of the open file; None for a descriptor that was closed meanwhile."""
    with suppress(OSError):
        facts = os.fstat(descriptor)
        return facts.st_dev, facts.st_ino
    return None
