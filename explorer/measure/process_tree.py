"""A process tree: who belongs to a child, orphans included, what memory they hold, and how much they may."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import final

import psutil

MARK = "EXPLORER_CHILD"
"""The environment variable that a child's whole tree inherits: whoever leaves group, session and parent keeps it."""

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# For what coordinator and dashboard still take, and for the 200 MiB that a tree may grow by between its last two looks.
_ROOM_RATIO, _ROOM_MIB = 0.1, 512.0
_GROWTH_MIB_PER_S = 4096.0  # about as fast as one core can ask for pages and fill them
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.05, 1.0
_KILL_PAUSE_S = 0.01


@final
class Watchdog:
    """Looks at the memory of `process` and of everything that it started, no more often than is needed.

    The next look comes before memory could reach `limit_mib` at the rate at which memory can be filled, and after a
    second at most. What counts is anonymous and shared memory, in RAM or swapped out: the pages of files can be taken
    back. It is the sum of resident sizes (RSS), counters that the kernel keeps anyway, in which pages that are shared
    count more than once; only where that sum passes the limit the proportional sizes (PSS) are asked for, which
    divide such pages but make the kernel walk through all page tables with the process's memory map locked.
    """

    def __init__(self, process: int, token: str, limit_mib: float) -> None:
        self.limit_mib = limit_mib
        self._process = process
        self._token = token
        self._members = [process]
        self._due = time.monotonic() + self._pause_s(0.0)

    @property
    def seconds(self) -> float:
        """How long until the next look is due."""
        return max(0.0, self._due - time.monotonic())

    def look(self, is_undisturbed: bool) -> float:
        """What the tree holds, in MiB: the proportional sum where the plain one passes the limit.

        `is_undisturbed` is for while times are taken: then new members are not sought, those of before are looked at in
        counters alone, and this process is off the measuring cores wherever there are others.
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
    """MiB that a new process and all that it starts may hold: what is left now, with room for others.

    Left is what the machine has, free swap included, or a control group (version 1 or 2) that this process is in; room
    is a tenth of it and at least 512 MiB, but never more than half. Infinite where the system does not tell.
    """
    left = min([_machine_left_mib(proc), *_groups_left_mib(proc, groups)])
    return left if math.isinf(left) else left - min(max(_ROOM_RATIO * left, _ROOM_MIB), left / 2)


def held_mib(process: int) -> float:
    """MiB that a process holds and that cannot be taken back, shared pages counted whole; 0 when it is gone."""
    fields = _fields_kib(_PROC / str(process) / "status")
    return sum(fields.get(name, 0) for name in ("RssAnon", "RssShmem", "VmSwap")) / 1024


def proportional_mib(process: int) -> float:
    """The same with each shared page divided by the number of its users; as `held_mib` where the system does not tell.

    Source: Documentation/filesystems/proc.rst of Linux, smaps_rollup.
    """
    fields = _fields_kib(_PROC / str(process) / "smaps_rollup")
    if "Pss_Anon" not in fields:
        return held_mib(process)
    return sum(fields.get(name, 0) for name in ("Pss_Anon", "Pss_Shmem", "SwapPss")) / 1024


def relatives(process: int, token: str) -> list[psutil.Process]:
    """The descendants of `process`, and all others that began with `token` in their environment; not itself."""
    found = {one.pid: one for one in _marked(token)}
    with contextlib.suppress(psutil.Error):
        found |= {one.pid: one for one in psutil.Process(process).children(recursive=True)}
    found.pop(process, None)
    return list(found.values())


def end(known: Iterable[psutil.Process], token: str, timeout_s: float) -> None:
    """Kill `known` and all that began with `token`, again until none is left: meanwhile one may start another.

    Gives up after `timeout_s`. Zombies count as gone: they are their new parent's.
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
    """Processes of this user with MARK=token in the environment that they began with; none that is dead already."""
    wanted = f"{MARK}={token}".encode()
    found = []
    for name in os.listdir(_PROC):
        if name.isdigit():
            # others' environments are not to be read, and processes end at any moment
            with contextlib.suppress(OSError, psutil.Error):
                if wanted in (_PROC / name / "environ").read_bytes():
                    found.append(psutil.Process(int(name)))
    return found


def _machine_left_mib(proc: Path) -> float:
    fields = _fields_kib(proc / "meminfo")
    return (fields["MemAvailable"] + fields.get("SwapFree", 0)) / 1024 if "MemAvailable" in fields else math.inf


def _groups_left_mib(proc: Path, groups: Path) -> Iterator[float]:
    """What each control group of this process that limits memory has left, in MiB."""
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                root, names = groups, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                root = groups / "memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            # A container sees its own group as the root, and may be told the path that the group has outside.
            place = root / path.lstrip("/")
            yield from (_group_left_mib(one, *names) for one in (place, *place.parents) if one.is_relative_to(root))


def _group_left_mib(group: Path, limit: str, usage: str, cached: str) -> float:
    """The limit less what is used, file pages that nobody used lately excepted; infinite without a limit."""
    try:
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        kept = dict(line.split(maxsplit=1) for line in lines)
        used = int((group / usage).read_text(encoding="ascii")) - int(kept.get(cached, 0))
        return max(0, int((group / limit).read_text(encoding="ascii")) - used) / 2**20
    except (OSError, ValueError):  # no such group here, or "max"
        return math.inf


def _fields_kib(file: Path) -> dict[str, int]:
    """The sizes in KiB of a file like /proc/meminfo, by name; empty where there is no such file."""
    try:
        lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = ((name, rest.split()) for name, _, rest in (line.partition(":") for line in lines))
    return {name: int(words[0]) for name, words in pairs if len(words) == 2 and words[1] == "kB"}
