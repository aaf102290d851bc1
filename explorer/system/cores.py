"""Processor cores: which of them measure, and how other processes are moved off them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def available() -> list[int]:
    """Return the cores that this process may use, ascending."""
    return sorted(os.sched_getaffinity(0))


def measuring(cores: list[int], threads: int) -> list[int]:
    """Return the last `threads` of `cores`: the first ones serve most interrupts. Raises ValueError for too few."""
    if threads > len(cores):
        raise ValueError(f"{threads} threads need as many cores, and this process may use {len(cores)}")
    return cores[len(cores) - threads :]


def move(process: int, cores: Iterable[int]) -> None:
    """Move every thread of a child process to `cores`; threads that have ended are skipped."""
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{process}/task").iterdir():  # each thread has its own affinity
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


@contextlib.contextmanager
def keep_free(cores: list[int], processes: Iterable[int]) -> Iterator[None]:
    """Move every thread of `processes` off `cores`, if others are left, and back when the block ends."""
    everything = set(available())
    others = everything - set(cores)
    pids = list(processes)
    try:
        if others:
            for pid in pids:
                move(pid, others)
        yield
    finally:
        for pid in pids:
            move(pid, everything)
