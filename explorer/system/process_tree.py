"""The process tree of a worker: its members, orphans included, the memory they hold, and the limit for it."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import final

import psutil

from explorer.system.environment import control_groups

MARK = "EXPLORER_CHILD"
"""The environment variable that marks a worker's tree; orphans that left its session and process group inherit it."""

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# Reserved for the coordinator, the dashboard, and growth of up to 200 MiB between the last two checks.
_ROOM_RATIO, _ROOM_MIB = 0.1, 512.0
_GROWTH_MIB_PER_S = 4096.0  # about as fast as one core can allocate and fill pages
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.05, 1.0
_KILL_PAUSE_S = 0.01
# Limit and usage of a control group, and the count of its inactive file pages, by version.
_GROUP_FILES_2 = ("memory.max", "memory.current", "inactive_file")
_GROUP_FILES_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@final
class Watchdog:
    """The monitor of the memory of `process` and all its descendants, as infrequent as is safe.

    The next check comes before memory could reach `limit_mib` at the rate at which memory can be filled, and after a
    second at most. Anonymous and shared memory counts, in RAM or swapped out; pages of files can be reclaimed. The sum
    of resident sizes (RSS) is cheap but counts shared pages repeatedly. Only where it exceeds the limit, proportional
    sizes (PSS) are read, for which the kernel walks all page tables with the process's memory map locked.
    """

    def __init__(self, process: int, token: str, limit_mib: float) -> None:
        self.limit_mib = limit_mib
        self._process = process
        self._token = token
        self._members = [process]
        self._due = time.monotonic() + self._pause_s(0.0)

    @property
    def seconds(self) -> float:
        """Seconds until the next check is due, >= 0."""
        return max(0.0, self._due - time.monotonic())

    def look(self, is_undisturbed: bool) -> float:
        """Return the memory of the tree in MiB: the proportional sum where the resident one exceeds the limit.

        `is_undisturbed` is for while times are taken: no new members are sought, and only counters of the known ones
        are read.
        """
        if not is_undisturbed:
            self._members = [self._process, *(member.pid for member in relatives(self._process, self._token))]
        held = sum(map(held_mib, self._members))
        if held > self.limit_mib:
            held = sum(map(proportional_mib, self._members))
        self._due = time.monotonic() + self._pause_s(held)
        return held

    def _pause_s(self, held: float) -> float:
        return min(_MAX_PAUSE_S, max(_MIN_PAUSE_S, (self.limit_mib - held) / _GROWTH_MIB_PER_S))


def limit_mib(proc: Path = _PROC, groups: Path = _GROUPS) -> float:
    """Return the MiB that a new process and its descendants may hold: the memory that is left, less a reserve.

    The memory left is that of the machine, free swap included, or of a control group (version 1 or 2) of this process.
    The reserve is a tenth of it and at least 512 MiB, but at most half. Infinite where nothing is known.
    """
    left = min([_machine_left_mib(proc), *_groups_left_mib(proc, groups)])
    return left if math.isinf(left) else left - min(max(_ROOM_RATIO * left, _ROOM_MIB), left / 2)


def held_mib(process: int) -> float:
    """Return the MiB that a process holds and that cannot be reclaimed, shared pages counted whole; 0 if it is gone."""
    fields = _fields_kib(_PROC / str(process) / "status")
    return sum(fields.get(name, 0) for name in ("RssAnon", "RssShmem", "VmSwap")) / 1024


def proportional_mib(process: int) -> float:
    """Return `held_mib` with each shared page divided by the number of its users, where the system reports that.

    Source: Documentation/filesystems/proc.rst of Linux, smaps_rollup.
    """
    fields = _fields_kib(_PROC / str(process) / "smaps_rollup")
    if "Pss_Anon" not in fields:
        return held_mib(process)
    return sum(fields.get(name, 0) for name in ("Pss_Anon", "Pss_Shmem", "SwapPss")) / 1024


def relatives(process: int, token: str) -> list[psutil.Process]:
    """Return the descendants of `process` and all other processes marked with `token`; not `process` itself."""
    found = {one.pid: one for one in _marked(token)}
    with contextlib.suppress(psutil.Error):
        found |= {one.pid: one for one in psutil.Process(process).children(recursive=True)}
    found.pop(process, None)
    return list(found.values())


def end(known: Iterable[psutil.Process], token: str, timeout_s: float) -> None:
    """Kill `known` and all processes marked with `token`, repeatedly, until none is left or `timeout_s` has passed.

    Zombies count as ended: their new parent reaps them.
    """
    until = time.monotonic() + timeout_s
    doomed = [*known, *_marked(token)]
    while doomed and time.monotonic() < until:
        for one in doomed:
            with contextlib.suppress(psutil.Error):
                one.kill()
        time.sleep(_KILL_PAUSE_S)
        _, alive = psutil.wait_procs(doomed, timeout=0)
        doomed = [*filter(_runs, alive), *_marked(token)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _marked(token: str) -> list[psutil.Process]:
    """Return this user's processes that started with MARK=token in their environment."""
    wanted = f"{MARK}={token}".encode()
    found = []
    for name in os.listdir(_PROC):
        if name.isdigit():
            # environments of other users are not readable, and processes end at any moment
            with contextlib.suppress(OSError, psutil.Error):
                if wanted in (_PROC / name / "environ").read_bytes():
                    found.append(psutil.Process(int(name)))
    return found


def _machine_left_mib(proc: Path) -> float:
    fields = _fields_kib(proc / "meminfo")
    return (fields["MemAvailable"] + fields.get("SwapFree", 0)) / 1024 if "MemAvailable" in fields else math.inf


def _groups_left_mib(proc: Path, groups: Path) -> Iterator[float]:
    """Yield the MiB left in each control group with a limit: the limit less the usage, inactive file pages excepted."""
    for group, is_version_2 in control_groups("memory", proc, groups):
        limit, usage, inactive = _GROUP_FILES_2 if is_version_2 else _GROUP_FILES_1
        with contextlib.suppress(OSError, ValueError):  # no such group here, or "max"
            lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
            statistics = dict(line.split(maxsplit=1) for line in lines)
            used = int((group / usage).read_text(encoding="ascii")) - int(statistics.get(inactive, 0))
            yield max(0, int((group / limit).read_text(encoding="ascii")) - used) / 2**20


def _fields_kib(file: Path) -> dict[str, int]:
    """Return the sizes in KiB of a file like /proc/meminfo, by name; empty if there is no such file."""
    try:
        lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = ((name, rest.split()) for name, _, rest in (line.partition(":") for line in lines))
    return {name: int(words[0]) for name, words in pairs if len(words) == 2 and words[1] == "kB"}
