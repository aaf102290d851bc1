"""The noise of this machine: how often its core is quiet, and how well latencies repeat then.

The same piece of work is timed against itself, in slices as candidates are. This module is also the process that does
so.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from explorer.errors import DeviceNotAvailable
from explorer.measure.anchor import learned_level_ns
from explorer.measure.quiet_state import BETWEEN_PROCESSES, FEWEST, WIDTH, judged
from explorer.measure.timing import Budget, Timer
from explorer.measure.trace import Trace
from explorer.system import cores
from explorer.system.worker_loop import Answers, failure_of, serve
from explorer.system.worker_process import WorkerFailed, WorkerProcess

_DEADLINES_S = {"": 120.0}
_DURATIONS_S = (1.25, 2.5, 5.0, 10.0)
_PRECISE = 0.01
_USUALLY = 0.9
_SLOWER = 1.05
_SIZE = 200_000  # exponentials, about a fifth of a millisecond on one core: the size of a small network's query
_DIFFERENCE = 0.954  # median difference of two normal values, in standard deviations of one


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one core over `seconds`.

    n_slices            slices of a fixed piece of work, in turn with the anchor
    quiet_ratio         the share that was taken in the quiet state
    slow_ratio          time of the work in the other slices over that in the quiet ones; None where all or none are
    variant_s           the time that a variant takes until its latency is good to 1 %, or as good as it gets
    repeatability_ratio the median difference of two such measurements in the quiet state, in different processes; None
                        where too few are quiet
    """

    seconds: float
    n_slices: int
    quiet_ratio: float
    slow_ratio: float | None
    variant_s: float
    repeatability_ratio: float | None

    @property
    def sentence(self) -> str:
        """The noise in one sentence."""
        is_slower = self.slow_ratio is not None and self.slow_ratio >= _SLOWER
        slower = f", and {self.slow_ratio:.2f} times slower otherwise" if is_slower else ""
        state = f"this core is quiet {self.quiet_ratio:.0%} of the time{slower}"
        if self.repeatability_ratio is None:
            return f"{state}: that is too rare, so expect wide intervals"
        return f"{state}; latencies will be good to {self.repeatability_ratio:.1%} at {self.variant_s:g} s a variant"


def measured_noise(seconds: float = 20.0) -> Noise:
    """Measure the core of a probe with one thread in a fresh process. Raises DeviceNotAvailable when that fails."""
    measuring = cores.measuring(cores.available(), 1)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    try:
        with (
            cores.keep_free(measuring, [os.getpid()]),
            WorkerProcess("explorer.measure.noise", None, threads) as worker,
        ):
            trace = Trace.from_arrays(worker.ask({"cores": measuring, "seconds": seconds}, _DEADLINES_S))
        return noise_of(trace)
    except (WorkerFailed, LookupError, TypeError, ValueError) as error:
        reason = error.reason if isinstance(error, WorkerFailed) else repr(error)
        raise DeviceNotAvailable(f"the noise of this machine could not be measured: {reason}") from error


def noise_of(trace: Trace) -> Noise:
    """Return the noise that a trace of a fixed piece of work shows."""
    found = judged(trace, learned_level_ns(trace.anchor_medians_ns))
    numbers = np.unique(trace.slice)
    medians = np.array([np.median(found.latency_ns[trace.slice == number]) for number in numbers])
    raw = np.array([np.median(trace.raw_ns[trace.slice == number]) for number in numbers])
    is_quiet = found.slowness < 1 + WIDTH
    seconds = float(trace.wall_ns.sum() / 1e9)
    variant_s, repeatability = _repeatability(np.where(is_quiet, np.log(medians), np.nan), seconds / len(numbers))
    return Noise(
        seconds=seconds,
        n_slices=len(numbers),
        quiet_ratio=float(is_quiet.mean()),
        slow_ratio=float(np.median(raw[~is_quiet]) / np.median(raw[is_quiet])) if 0 < is_quiet.mean() < 1 else None,
        variant_s=variant_s,
        repeatability_ratio=repeatability,
    )


def _repeatability(quiet_logs: np.ndarray[Any, Any], slice_s: float) -> tuple[float, float | None]:
    """Return how long a measurement takes, and the median difference of two, as a ratio; None: too few are possible.

    `quiet_logs` [w] are logarithms of the slices' times; NaN where a slice was not quiet.
    """
    best: tuple[float, float | None] = (_DURATIONS_S[-1], None)
    for duration_s in _DURATIONS_S:
        size = max(1, round(duration_s / slice_s))
        blocks = [quiet_logs[begin : begin + size] for begin in range(0, len(quiet_logs) - size + 1, size)]
        values = [float(np.nanmedian(block)) for block in blocks if np.isfinite(block).sum() >= FEWEST]
        if len(values) < 2 or len(values) < _USUALLY * len(blocks):
            continue
        within = float(np.median([abs(one - other) for one, other in combinations(values, 2)]))
        ratio = float(np.hypot(within, _DIFFERENCE * BETWEEN_PROCESSES))
        if best[1] is None or ratio < best[1]:
            best = (duration_s, ratio)
        if ratio <= _PRECISE:
            break
    return best


def measure(request: dict[str, Any], answers: Answers) -> None:
    """Answer `{"seconds"}` with everything timed in that many seconds, as lists named by `Trace.to_arrays`."""
    try:
        values = np.random.default_rng(0).random(_SIZE)  # a matrix product would use every core
        timer = Timer(lambda n: np.exp(values), 1)
        timer.warm_up()
        timer.run(Budget(2**62, 0.0, math.inf, request["seconds"]))
    except Exception as error:  # its own words are the reason why the noise is not known
        answers.failure(*failure_of(error, "probe"))
    else:
        answers.result({name: times.tolist() for name, times in timer.trace().to_arrays().items()})


if __name__ == "__main__":
    serve(measure, lambda request: list(request["cores"]))
