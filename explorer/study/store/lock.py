"""StudyLock: one coordinator per study, with a lock that names its holder.

The operating system holds the lock and releases it with the process, however that ends. The note beside it only
describes the holder; a note without a held lock is what a killed run or a reboot leaves.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from explorer.errors import StudyLocked
from explorer.system.files import read_plain_text, write_json
from explorer.typed_json import from_json

LOCK_NAME = "study.lock"
HOLDER_NAME = "study.lock.json"
_SAME_PROCESS_S = 1.0
"""A reused process id belongs to a process that started later by more than this."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """The process that holds a study since a Unix time; when it began is in seconds since boot."""

    pid: int
    host: str
    boot: str
    process_started: float
    since: float


@contextmanager
def study_lock(folder: Path, on_note: Callable[[str], None]) -> Iterator[float]:
    """Hold the study in `folder`; report when a stale holder is replaced. Raises StudyLocked when it is held.

    Yields the Unix time at which the hold began, which identifies it: `held_since` returns the same.
    """
    lock, path = FileLock(folder / LOCK_NAME), folder / HOLDER_NAME
    holder = _read_holder(path)
    if holder is not None and holder.pid != os.getpid() and _is_here(holder) and _is_alive(holder):
        raise _held(folder, holder)  # before the lock is tried: people delete lock files that look stale
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise _held(folder, _read_holder(path)) from error
    try:
        if (stale := _read_holder(path)) is not None:
            on_note(f"took the study over from {_described(stale)}, which {_end_of(stale)}")
        holder = _own_holder()
        write_json(path, asdict(holder))
        yield holder.since
    finally:
        with suppress(OSError):  # the folder is gone or read-only; a note that stays is recognized as stale
            path.unlink()
        lock.release()


def held_since(folder: Path) -> float | None:
    """Return since when (Unix seconds) a living coordinator holds the study; None when none does.

    It uses the holder's note alone, since trying the lock would hold it for a moment. A note from another machine is
    taken as true.
    """
    holder = _read_holder(folder / HOLDER_NAME)
    return holder.since if holder is not None and (not _is_here(holder) or _is_alive(holder)) else None


def _held(folder: Path, holder: _Holder | None) -> StudyLocked:
    return StudyLocked(f"the study in {folder} is held by {_described(holder)}: wait for it, or stop that process")


def _is_here(holder: _Holder) -> bool:
    return holder.host == socket.gethostname()


def _is_alive(holder: _Holder) -> bool:
    try:
        process = psutil.Process(holder.pid)
        started = _started(process)
        # Killed, and its parent has not noticed: in a container it may stay so for good.
        is_dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False
    is_same = abs(started - holder.process_started) < _SAME_PROCESS_S
    return is_same and not is_dead and holder.boot == _boot_id()


def _started(process: psutil.Process) -> float:
    """Return when the process began: seconds since boot, or without /proc its Unix time."""
    file = Path(f"/proc/{process.pid}/stat")
    if not file.is_file():
        return process.create_time()
    after_name = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # `starttime` of proc(5), its field 22


def _own_holder() -> _Holder:
    return _Holder(os.getpid(), socket.gethostname(), _boot_id(), _started(psutil.Process()), time.time())


def _boot_id() -> str:
    """Return an identifier of this boot of the machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.is_file() else f"{psutil.boot_time():.0f}"


def _read_holder(path: Path) -> _Holder | None:
    """Return the holder's note; None when there is no valid one."""
    try:
        holder = from_json(_Holder, json.loads(read_plain_text(path)))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    return holder if holder.pid > 0 else None


def _described(holder: _Holder | None) -> str:
    if holder is None:
        return "another process"
    minutes = max(0.0, time.time() - holder.since) / 60
    age = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    return f"process {holder.pid} on {holder.host}, which began {age} ago"


def _end_of(holder: _Holder) -> str:
    if _is_here(holder) and holder.boot != _boot_id():
        return "ended when the machine was restarted"
    return "ended without saying so"
