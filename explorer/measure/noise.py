"""How steady this machine is: the same work timed against itself, as candidates are timed against the anchor.

Within one process, and from one process to the next: two trials of a study are two processes, whose memory lies in
other places.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from explorer.errors import DeviceNotAvailable
from explorer.measure import cores
from explorer.measure.child import Child, ChildFailed
from explorer.measure.correction import Reference, corrected
from explorer.measure.timing import Timed

AA_RATIOS = ("aa_ratio", "aa_raw_ratio", "aa_between_ratio", "aa_between_raw_ratio")
_N_PROCESSES, _N_ROUNDS = 3, 2
_DEADLINES_S = {"": 120.0}
_STEADY = 0.03


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Spread of the times of one fixed piece of work, `n` times, as ratios to their median.

    spread_ratio          half the distance between the quartiles of the times
    p99_ratio             the 99th percentile of the times
    drift_ratio           the largest distance of a tenth of the run, by its own median, from the whole
    aa_ratio              A/A: by how much two measurements of the same work in one process differ, corrected as
                          candidates are; the median over every such pair
    aa_raw_ratio          the same without the correction
    aa_between_ratio      as aa_ratio, of two measurements in two processes: what two trials of one variant differ by
    aa_between_raw_ratio  the same without the correction
    """

    n: int
    median_ms: float
    spread_ratio: float
    p99_ratio: float
    drift_ratio: float
    aa_ratio: float
    aa_raw_ratio: float
    aa_between_ratio: float
    aa_between_raw_ratio: float


def noise_floor(seconds: float = 0.2, n_processes: int = _N_PROCESSES) -> NoiseFloor:
    """Time the same arithmetic in fresh processes, one after the other and then each once more, so long each time.

    They take the core that a probe with one thread would use. Raises DeviceNotAvailable when they do not answer.
    """
    measuring = cores.measuring(cores.available(), 1)
    request = {"cores": measuring, "seconds": seconds}
    try:
        with cores.kept_free(measuring, [os.getpid()]), _children(n_processes) as children:
            rounds = [[_timed(child.ask(request, _DEADLINES_S)) for child in children] for _ in range(_N_ROUNDS)]
    except (ChildFailed, LookupError, TypeError, ValueError) as error:
        reason = error.reason if isinstance(error, ChildFailed) else repr(error)
        raise DeviceNotAvailable(f"the machine's noise floor could not be measured: {reason}") from error
    return noise_of(rounds)


def noise_of(rounds: Sequence[Sequence[Timed]]) -> NoiseFloor:
    """What rounds of measurements say, each with one of every process; two of each at least."""
    measurements = [timed for each in rounds for timed in each]
    samples = np.concatenate([timed.latency_ns for timed in measurements])
    median = float(np.median(samples))
    tenths = [float(np.median(part)) for part in np.array_split(samples, 10)]
    low, high, p99 = np.percentile(samples, [25, 75, 99])
    reference = Reference(
        float(np.median(np.concatenate([timed.anchor_ns for timed in measurements]))),
        float(np.median(np.concatenate([timed.pulse_ns for timed in measurements]))),
    )
    made = [[float(np.median(corrected(timed, reference).latency_ns)) for timed in each] for each in rounds]
    raw = [[float(np.median(timed.latency_ns)) for timed in each] for each in rounds]
    return NoiseFloor(
        n=len(samples),
        median_ms=median / 1e6,
        spread_ratio=float((high - low) / 2 / median),
        p99_ratio=float(p99 / median),
        drift_ratio=max(abs(tenth / median - 1) for tenth in tenths),
        aa_ratio=_within(made),
        aa_raw_ratio=_within(raw),
        aa_between_ratio=_between(made),
        aa_between_raw_ratio=_between(raw),
    )


def same_work_sentence(aa_ratio: float, aa_raw_ratio: float, between_ratio: float, between_raw_ratio: float) -> str:
    """A/A for people."""
    unsteady = "" if aa_ratio <= _STEADY else ": other work disturbs it, so expect wide intervals and repeated trials"
    within = f"in one process (A/A) differs by {aa_ratio:.1%}, uncorrected by {aa_raw_ratio:.1%}"
    between = f"in two processes by {between_ratio:.1%}, uncorrected by {between_raw_ratio:.1%}"
    return f"the same work measured twice {within}; {between}{unsteady}"


def difference_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """The median, over the pairs, of the distance of the two as a ratio of their mean."""
    return float(np.median([abs(a - b) / ((a + b) / 2) for a, b in pairs]))


def _within(rounds: Sequence[Sequence[float]]) -> float:
    return difference_ratio([pair for own in zip(*rounds, strict=True) for pair in combinations(own, 2)])


def _between(rounds: Sequence[Sequence[float]]) -> float:
    """Two processes in one round: their measurements are neighbors in time, as two of one process are not."""
    return difference_ratio([pair for each in rounds for pair in combinations(each, 2)])


@contextlib.contextmanager
def _children(n: int) -> Iterator[list[Child]]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Child("explorer.measure.noise_probe", None, threads)) for _ in range(n)]


def _timed(answer: dict[str, Any]) -> Timed:
    return Timed(**{name: np.asarray(values, dtype=np.int64) for name, values in answer.items()})
