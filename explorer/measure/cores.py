"""Which cores measure, and who stays off them meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def available() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def measuring(cores: list[int], threads: int) -> list[int]:
    """The last `threads` of `cores`: the first ones take most of the system's interrupts. Raises ValueError."""
    if threads > len(cores):
        raise ValueError(f"{threads} threads need as many cores, and this process may use {len(cores)}")
    return cores[len(cores) - threads :]


def move(process: int, cores: list[int]) -> None:
    """Move every thread of a process that this one has started to `cores`."""
    _move(process, set(cores))


@contextlib.contextmanager
def kept_free(cores: list[int], processes: Iterable[int]) -> Iterator[None]:
    """Move every thread of `processes` off `cores`, as far as others are left, and back when the block ends."""
    everything = set(available())
    others = everything - set(cores)
    pids = list(processes)
    try:
        if others:
            for pid in pids:
                _move(pid, others)
        yield
    finally:
        for pid in pids:
            _move(pid, everything)


def _move(pid: int, cores: set[int]) -> None:
    """Threads have affinities of their own. One that ends meanwhile is no matter."""
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)
