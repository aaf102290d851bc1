"""Conditions: what the operating system says of the measuring cores and of this process while times are taken."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_WORKING_SHARE = 0.05
"""A thread that had a processor for more than this share of the time worked; others wake up now and then."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What was seen between two looks, `seconds` apart.

    steal_ratio      of the measuring cores' time, what the hypervisor gave to others; None: not to be seen here
    others_ratio     of the measuring cores' time, what other processes had; None: not to be seen here
    n_working        threads of this process that worked
    cores            the cores that it was allowed at the end
    suspended_s      how long the machine slept
    """

    seconds: float
    steal_ratio: float | None
    others_ratio: float | None
    n_working: int
    cores: tuple[int, ...]
    suspended_s: float

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "cores": list(self.cores)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Conditions:
        """The inverse of `to_json`."""
        return cls(**{**values, "cores": tuple(values["cores"])})


@dataclass(frozen=True, slots=True)
class Look:
    """One look: seconds of the clocks, ticks of the cores, and processor seconds of this process and its threads."""

    wall_s: float
    awake_s: float
    cores: tuple[int, ...]
    ticks: Mapping[str, int] | None
    process_s: float
    threads_s: Mapping[int, float]

    @classmethod
    def now(cls, cores: Sequence[int], proc: Path = Path("/proc")) -> Look:
        """Look at `cores` now; `proc` is where the system tells."""
        return cls(
            time.clock_gettime(time.CLOCK_BOOTTIME),
            time.monotonic(),
            tuple(cores),
            _ticks(proc / "stat", cores),
            time.process_time(),
            _threads(proc / "self" / "task"),
        )

    def until(self, later: Look) -> Conditions:
        """What was seen between this look and a later one."""
        seconds = max(1e-9, later.wall_s - self.wall_s)
        steal = others = None
        if self.ticks is not None and later.ticks is not None:
            passed = {name: later.ticks[name] - self.ticks[name] for name in _FIELDS}
            whole = seconds * len(self.cores)
            steal = _less_a_tick(passed["steal"]) / whole
            busy = _less_a_tick(sum(passed[name] for name in _BUSY) - passed["steal"])
            others = max(0.0, busy - (later.process_s - self.process_s)) / whole
        worked = [used - self.threads_s.get(thread, 0.0) for thread, used in later.threads_s.items()]
        return Conditions(
            seconds=seconds,
            steal_ratio=steal,
            others_ratio=others,
            n_working=sum(used > _WORKING_SHARE * seconds for used in worked),
            cores=tuple(sorted(os.sched_getaffinity(0))),
            suspended_s=max(0.0, seconds - (later.awake_s - self.awake_s)),
        )


def _less_a_tick(ticks: int) -> float:
    """Seconds that were surely spent: the tick in which each look falls counts whole, or not at all."""
    return max(0, ticks - 1) / _TICKS_PER_S


def _ticks(stat: Path, cores: Sequence[int]) -> dict[str, int] | None:
    """The ticks of `cores` by kind, summed; None where the system does not tell."""
    wanted = {f"cpu{core}" for core in cores}
    try:
        lines = [line.split() for line in stat.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    rows = [line[1 : len(_FIELDS) + 1] for line in lines if line and line[0] in wanted]
    if len(rows) != len(wanted) or any(len(row) != len(_FIELDS) for row in rows):
        return None
    totals = [sum(int(row[place]) for row in rows) for place in range(len(_FIELDS))]
    return dict(zip(_FIELDS, totals, strict=True)) if any(totals) else None


def _threads(tasks: Path) -> dict[int, float]:
    """Processor seconds of each thread of this process, by its number."""
    used = {}
    for task in tasks.iterdir():
        try:
            used[int(task.name)] = int((task / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
        except (OSError, ValueError, IndexError):  # it ended meanwhile, or this kernel does not count
            continue
    return used
