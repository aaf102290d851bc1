"""How steady this machine is: the same work timed against itself, as candidates are timed against the anchor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from explorer.measure import cores
from explorer.measure.correction import Reference, corrected
from explorer.measure.timing import Budget, Timed, Timer

_SIZE = 200_000  # exponentials, about a fifth of a millisecond on one core: the size of a small network's query
_N_MEASUREMENTS = 6
_STEADY = 0.03


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Spread of the times of one fixed piece of work, `n` times, as ratios to their median.

    spread_ratio  half the distance between the quartiles of the times
    p99_ratio     the 99th percentile of the times
    drift_ratio   the largest distance of a tenth of the run, by its own median, from the whole
    aa_ratio      A/A: by how much two measurements of the same work differ, corrected as candidates are; the median
                  over every pair of a few measurements in one process
    aa_raw_ratio  the same without the correction
    """

    n: int
    median_ms: float
    spread_ratio: float
    p99_ratio: float
    drift_ratio: float
    aa_ratio: float
    aa_raw_ratio: float


def noise_floor(seconds: float = 0.2, n_measurements: int = _N_MEASUREMENTS) -> NoiseFloor:
    """Time the same arithmetic so often, for so long each, on the core that a probe with one thread would use."""
    with _pinned(cores.measuring(cores.available(), 1)):
        measurements = [_measurement(seconds) for _ in range(n_measurements)]
    samples = np.concatenate([timed.latency_ns for timed in measurements])
    median = float(np.median(samples))
    tenths = [float(np.median(part)) for part in np.array_split(samples, 10)]
    low, high, p99 = np.percentile(samples, [25, 75, 99])
    reference = Reference(
        float(np.median(np.concatenate([timed.anchor_ns for timed in measurements]))),
        float(np.median(np.concatenate([timed.pulse_ns for timed in measurements]))),
    )
    return NoiseFloor(
        n=len(samples),
        median_ms=median / 1e6,
        spread_ratio=float((high - low) / 2 / median),
        p99_ratio=float(p99 / median),
        drift_ratio=max(abs(tenth / median - 1) for tenth in tenths),
        aa_ratio=difference_ratio([float(np.median(corrected(timed, reference).latency_ns)) for timed in measurements]),
        aa_raw_ratio=difference_ratio([float(np.median(timed.latency_ns)) for timed in measurements]),
    )


def same_work_sentence(aa_ratio: float, aa_raw_ratio: float) -> str:
    """A/A for people."""
    unsteady = "" if aa_ratio <= _STEADY else ": other work disturbs it, so expect wide intervals and repeated trials"
    twice = f"differs by {aa_ratio:.1%}, uncorrected by {aa_raw_ratio:.1%}"
    return f"the same work measured twice in one process (A/A) {twice}{unsteady}"


def difference_ratio(medians: list[float]) -> float:
    """The median, over all pairs, of the distance of the two as a ratio of their mean."""
    return float(np.median([abs(a - b) / ((a + b) / 2) for a, b in combinations(medians, 2)]))


def _measurement(seconds: float) -> Timed:
    values = np.random.default_rng(0).random(_SIZE)  # a matrix product would use every core
    timer = Timer(lambda n: np.exp(values), 1, lambda: np.exp(values))
    timer.warm_up()
    timer.run(Budget(20, seconds, 5 * seconds))
    return timer.timed()


@contextmanager
def _pinned(wanted: list[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
