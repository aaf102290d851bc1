"""StudyLock: one coordinator a study, and a lock that names its holder.

The operating system holds the lock and drops it with its process, however that ends. The note beside it only tells
people who the holder is; a note without a held lock is what a killed run or a reboot leaves behind.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from explorer.errors import StudyLocked
from explorer.files import write_json
from explorer.plain_file import read_plain_text

LOCK_NAME = "study.lock"
HOLDER_NAME = "study.lock.json"
_SAME_PROCESS_S = 1.0
"""A process id that is used again belongs to a process that started later than this."""


@contextmanager
def study_lock(folder: Path, on_note: Callable[[str], None]) -> Iterator[float]:
    """Hold the study in `folder`, with a note when a stale holder is replaced. Raises StudyLocked when it is held.

    Gives the time at which the hold began, which is also its name: `held_since` gives the same.
    """
    lock = FileLock(folder / LOCK_NAME)
    holder = folder / HOLDER_NAME
    if (facts := _facts(holder)) is not None and facts["pid"] != os.getpid() and _is_here(facts) and _is_alive(facts):
        raise _held(folder, facts)  # before the lock is tried: people delete a lock file that they believe to be stale
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise _held(folder, _facts(holder)) from error
    try:
        if (stale := _facts(holder)) is not None:
            on_note(f"took the study over from {_described(stale)}, which {_end_of(stale)}")
        facts = _own_facts()
        write_json(holder, facts)
        yield facts["since"]
    finally:
        with suppress(
            OSError
        ):  # where the folder is gone or read-only: a note that stays says of itself that it is over
            holder.unlink()
        lock.release()


def held_since(folder: Path) -> float | None:
    """Since when (Unix seconds) a living coordinator holds the study; None when none does.

    It goes by the holder's note alone: trying the lock would hold it for a moment. Of a holder on another machine
    nothing better is known than its note.
    """
    facts = _facts(folder / HOLDER_NAME)
    is_believed = facts is not None and (not _is_here(facts) or _is_alive(facts))
    return float(facts["since"]) if facts is not None and is_believed else None


def _held(folder: Path, facts: dict[str, Any] | None) -> StudyLocked:
    return StudyLocked(f"the study in {folder} is held by {_described(facts)}: wait for it, or stop that process")


def _is_here(facts: dict[str, Any]) -> bool:
    """Whether the holder that wrote these facts was on this machine."""
    return bool(facts["host"] == socket.gethostname())


def _is_alive(facts: dict[str, Any]) -> bool:
    """Whether the process of this machine that wrote these facts still runs."""
    try:
        process = psutil.Process(facts["pid"])
        started = _started(process)
        # Killed, and its parent has not noticed: in a container it may stay so for good.
        is_dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False
    is_same = abs(started - float(facts.get("process_started", started))) < _SAME_PROCESS_S
    return is_same and not is_dead and bool(facts["boot"] == _boot_id())


def _started(process: psutil.Process) -> float:
    """When the process began: in seconds since the machine did, which nobody sets, or without /proc its Unix time."""
    file = Path(f"/proc/{process.pid}/stat")
    if not file.is_file():
        return process.create_time()
    after_name = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # `starttime` of proc(5), its field 22


def _own_facts() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "boot": _boot_id(),
        "process_started": _started(psutil.Process()),
        "since": time.time(),
    }


def _boot_id() -> str:
    """What changes with every start of the machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.is_file() else f"{psutil.boot_time():.0f}"


def _facts(holder: Path) -> dict[str, Any] | None:
    """What the holder wrote about itself; None when it wrote nothing that reads."""
    try:
        facts = json.loads(read_plain_text(holder))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    is_whole = isinstance(facts, dict) and {"pid", "host", "boot", "since"} <= facts.keys()
    is_sound = (
        is_whole
        and isinstance(facts["pid"], int)
        and facts["pid"] > 0
        and all(isinstance(facts.get(name, 0), int | float) for name in ("since", "process_started"))
    )
    return facts if is_sound else None


def _described(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return "another process"
    minutes = max(0.0, time.time() - float(facts["since"])) / 60
    age = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    return f"process {facts['pid']} on {facts['host']}, which began {age} ago"


def _end_of(facts: dict[str, Any]) -> str:
    """Why a holder that wrote these facts cannot hold the lock any more."""
    if _is_here(facts) and facts["boot"] != _boot_id():
        return "ended when the machine was restarted"
    return "ended without saying so"
