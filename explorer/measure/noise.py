"""Measure the noise floor of this machine: the same work timed against itself, as candidates are against the anchor.

It is measured within one process and between processes: two trials of a study are two processes, with different memory
layouts. This module is also what those processes execute.
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
from explorer.measure.drift_correction import Reference, corrected
from explorer.measure.timing import Budget, Timer
from explorer.measure.trace import Trace
from explorer.system import cores
from explorer.system.worker_loop import Answers, failure_of, serve
from explorer.system.worker_process import WorkerFailed, WorkerProcess

AA_RATIOS = ("aa_ratio", "aa_raw_ratio", "aa_between_ratio", "aa_between_raw_ratio")
_N_PROCESSES, _N_ROUNDS = 3, 2
_DEADLINES_S = {"": 120.0}
_STEADY = 0.03
_SIZE = 200_000  # exponentials, about a fifth of a millisecond on one core: the size of a small network's query


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Spread of `n` times of one fixed piece of work, as ratios of their median.

    spread_ratio          half the interquartile range
    p99_ratio             the 99th percentile
    drift_ratio           the largest difference between the median of a tenth of the run and that of all
    aa_ratio              A/A: the difference of two measurements of the work in one process, corrected as candidates
                          are; the median over all pairs
    aa_raw_ratio          the same without correction
    aa_between_ratio      as aa_ratio, between two processes: the difference of two trials of one variant
    aa_between_raw_ratio  the same without correction
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
    """Time the same arithmetic in fresh processes, each `seconds` long, one after the other, and then each once more.

    They run on the core of a probe with one thread. Raises DeviceNotAvailable when they fail.
    """
    measuring = cores.measuring(cores.available(), 1)
    request = {"cores": measuring, "seconds": seconds}
    try:
        with cores.keep_free(measuring, [os.getpid()]), _workers(n_processes) as workers:
            answers = [[worker.ask(request, _DEADLINES_S) for worker in workers] for _ in range(_N_ROUNDS)]
        rounds = [[Trace.from_arrays(answer) for answer in each] for each in answers]
    except (WorkerFailed, LookupError, TypeError, ValueError) as error:
        reason = error.reason if isinstance(error, WorkerFailed) else repr(error)
        raise DeviceNotAvailable(f"the machine's noise floor could not be measured: {reason}") from error
    return noise_of(rounds)


def noise_of(rounds: Sequence[Sequence[Trace]]) -> NoiseFloor:
    """Return the noise floor of at least two rounds of measurements, each with one of at least two processes."""
    measurements = [trace for each in rounds for trace in each]
    samples = np.concatenate([trace.raw_ns for trace in measurements])
    median = float(np.median(samples))
    tenths = [float(np.median(part)) for part in np.array_split(samples, 10)]
    low, high, p99 = np.percentile(samples, [25, 75, 99])
    reference = Reference(
        float(np.median(np.concatenate([trace.anchor_ns for trace in measurements]))),
        float(np.median(np.concatenate([trace.pulse_ns for trace in measurements]))),
    )
    made = [[float(np.median(corrected(trace, reference).latency_ns)) for trace in each] for each in rounds]
    raw = [[float(np.median(trace.raw_ns)) for trace in each] for each in rounds]
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
    """Return the A/A ratios as a sentence."""
    unsteady = "" if aa_ratio <= _STEADY else ": other work disturbs it, so expect wide intervals and repeated trials"
    within = f"in one process (A/A) differs by {aa_ratio:.1%}, uncorrected by {aa_raw_ratio:.1%}"
    between = f"in two processes by {between_ratio:.1%}, uncorrected by {between_raw_ratio:.1%}"
    return f"the same work measured twice {within}; {between}{unsteady}"


def difference_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the median over pairs of their difference as a ratio of their mean."""
    return float(np.median([abs(a - b) / ((a + b) / 2) for a, b in pairs]))


def _within(rounds: Sequence[Sequence[float]]) -> float:
    return difference_ratio([pair for own in zip(*rounds, strict=True) for pair in combinations(own, 2)])


def _between(rounds: Sequence[Sequence[float]]) -> float:
    """Compare processes within a round: their measurements are close in time, those of one process are not."""
    return difference_ratio([pair for each in rounds for pair in combinations(each, 2)])


@contextlib.contextmanager
def _workers(n: int) -> Iterator[list[WorkerProcess]]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(WorkerProcess("explorer.measure.noise", None, threads)) for _ in range(n)]


def measure(request: dict[str, Any], answers: Answers) -> None:
    """Answer `{"seconds"}` with everything timed in that many seconds, as lists named by `Trace.to_arrays`."""
    try:
        trace = same_work(request["seconds"])
    except Exception as error:  # its own words are the reason why there is no noise floor
        answers.failure(*failure_of(error, "probe"))
    else:
        answers.result({name: values.tolist() for name, values in trace.to_arrays().items()})


def same_work(seconds: float) -> Trace:
    """Time it for so many seconds, after a warm-up."""
    values = np.random.default_rng(0).random(_SIZE)  # a matrix product would use every core
    timer = Timer(lambda n: np.exp(values), 1, lambda: np.exp(values))
    timer.warm_up()
    timer.run(Budget(20, seconds, 5 * seconds))
    return timer.trace()


if __name__ == "__main__":
    serve(measure, lambda request: list(request["cores"]))
