"""How steady this machine is: the same work timed again and again on a pinned core."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from explorer.measure import cores

_SECONDS = 1.5
_SIZE = 192  # a matrix product of about a fifth of a millisecond: the size of a small network's query


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Spread of the times of one fixed piece of work, `n` times, as ratios to their median.

    spread_ratio  half the distance between the quartiles
    p99_ratio     the 99th percentile
    drift_ratio   the largest distance of a tenth of the run, by its own median, from the whole
    """

    n: int
    median_ms: float
    spread_ratio: float
    p99_ratio: float
    drift_ratio: float


def noise_floor(seconds: float = _SECONDS) -> NoiseFloor:
    """Time matrix products for `seconds` on the core that a probe with one thread would use."""
    core = cores.measuring(cores.available(), 1)
    with _pinned(core):
        samples = _samples(seconds)
    median = float(np.median(samples))
    tenths = [float(np.median(part)) for part in np.array_split(samples, 10)]
    low, high, p99 = np.percentile(samples, [25, 75, 99])
    return NoiseFloor(
        n=len(samples),
        median_ms=median / 1e6,
        spread_ratio=float((high - low) / 2 / median),
        p99_ratio=float(p99 / median),
        drift_ratio=max(abs(tenth / median - 1) for tenth in tenths),
    )


@contextmanager
def _pinned(wanted: list[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _samples(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    matrix = np.random.default_rng(0).random((_SIZE, _SIZE), dtype=np.float32)
    for _ in range(20):
        matrix @ matrix
    samples: list[int] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(samples) < 20:
        before = time.perf_counter_ns()
        matrix @ matrix
        samples.append(time.perf_counter_ns() - before)
    return np.asarray(samples, dtype=np.int64)
