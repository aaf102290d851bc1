"""Time short slices of the candidate and of the anchor in turn, until the median is known precisely. NumPy alone.

The anchor is the same work in every process. It shows slice by slice whether the core is in its quiet state, in which
alone times repeat (`measure.quiet_state`).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from explorer.measure.anchor import anchor_parts, own_level_ns
from explorer.measure.quiet_state import Judged, judged
from explorer.measure.trace import Trace

SLICE_NS, ANCHOR_SLICE_NS = 30_000_000, 5_000_000
_SLICE_QUERIES, _ANCHOR_CALLS = 4, 3
_LEAD_IN_NS = 1_000_000  # untimed queries after each change, while the caches fill again with the candidate's data
_WARM_UP_QUERIES, _WARM_UP_SLICES, _WARM_UP_WITHIN, _WARM_UP_SLICE_NS = 5, 3, 0.05, 20_000_000
_WARM_UP_LIMIT_NS = 2_000_000_000
_CHECK_EVERY_NS, _CHECK_GROWTH = 100_000_000, 1.1
_HOPELESS = 2.0  # times the limit: the interval itself is only known by half or so


@dataclass(frozen=True, slots=True)
class Budget:
    """How long queries are timed.

    At least `min_queries` queries and `min_s` seconds in the quiet state, until both ends of the median's 95 % interval
    are within `within_ratio` of it. At most `quiet_s` seconds in the quiet state, and earlier when these will clearly
    not suffice: a median between two modes, as of early exits, may never be known so precisely. At most `limit_s`
    seconds in all, or `quiet_s` where another process has the core, too, all the time.
    """

    min_queries: int
    min_s: float
    quiet_s: float
    limit_s: float
    within_ratio: float = 0.01


FULL = Budget(200, 1.0, 4.0, 20.0)
QUARTER = Budget(50, 0.25, 1.0, 5.0, 0.02)


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall-clock time, and processor time of this thread, in nanoseconds."""

    wall_ns: Callable[[], int] = time.perf_counter_ns
    processor_ns: Callable[[], int] = time.thread_time_ns


@final
class Timer:
    """Times `ask(n)` for n = 0, 1, 2, ...; the queries repeat after `repeat_after`.

    `record` gets n and the result of `ask(n)`, outside the timed span. Each of `anchor` does a part of the anchor's
    work once; by default those of `measure.anchor`.
    """

    def __init__(
        self,
        ask: Callable[[int], Any],
        repeat_after: int,
        record: Callable[[int, Any], None] = lambda n, made: None,
        clock: Clock | None = None,
        anchor: Sequence[Callable[[], Any]] | None = None,
    ) -> None:
        self._ask, self._repeat_after, self._record = ask, repeat_after, record
        self._clock, self._anchor = clock or Clock(), anchor or anchor_parts()
        self._times: list[NDArray[np.int64]] = []
        self._slices: list[int] = []  # the number of each slice in `_times`
        self._anchor_times: list[NDArray[np.int64]] = []
        self._stretches: list[tuple[int, int]] = []
        self._n_queries = 0

    def warm_up(self) -> bool:
        """Repeat the same few queries until three slices in a row agree within 5 %; return whether they ever did."""
        now = self._clock.wall_ns
        began = now()
        n_queries, medians = self._first_slice(began), list[float]()
        while now() - began < _WARM_UP_LIMIT_NS or len(medians) < _WARM_UP_SLICES:
            samples = []
            for n in range(n_queries):
                before = now()
                self._ask(n % self._repeat_after)
                samples.append(now() - before)
            medians.append(float(np.median(samples)))
            last = medians[-_WARM_UP_SLICES:]
            if len(last) == _WARM_UP_SLICES and max(last) <= (1 + _WARM_UP_WITHIN) * min(last):
                return True
        return False

    def _first_slice(self, began: int) -> int:
        """Return how many queries fill a slice of the warm-up; at least a few."""
        n = taken = 0
        most_ns = _WARM_UP_QUERIES * _WARM_UP_SLICE_NS
        while not n or taken < _WARM_UP_SLICE_NS or (n < _WARM_UP_QUERIES and taken < most_ns):
            self._ask(n % self._repeat_after)
            n += 1
            taken = self._clock.wall_ns() - began
        return n

    def run(self, budget: Budget, level_ns: NDArray[np.float64] | None = None) -> bool:
        """Time queries until the budget is met or used up, without garbage collection; return whether it is met.

        `level_ns` [p] is the quiet level of the anchor's parts, as far as it is known.
        """
        gc.collect()
        gc.disable()
        try:
            return self._run(budget, level_ns)
        finally:
            gc.enable()

    def _run(self, budget: Budget, level_ns: NDArray[np.float64] | None) -> bool:
        now = self._clock.wall_ns
        began = now()
        check_at = began + _CHECK_EVERY_NS
        self._mark = (now(), self._clock.processor_ns())
        self._time_anchor()
        while True:
            self._time_candidate()
            self._time_anchor()
            elapsed = now() - began
            is_over = elapsed >= budget.limit_s * 1e9
            if not is_over and now() < check_at:
                continue
            found = self.judged(level_ns)
            quiet_s = float(np.concatenate(self._times)[found.counts].sum() / 1e9) if found.is_quiet else 0.0
            is_enough = found.counts.sum() >= budget.min_queries and quiet_s >= budget.min_s
            excess = found.interval_ratio / budget.within_ratio
            if is_enough and excess <= 1.0:
                return True
            # An interval shrinks with the square root of the time.
            is_hopeless = is_enough and quiet_s * excess**2 > _HOPELESS * budget.quiet_s
            is_hopeless |= found.is_shared and elapsed >= budget.quiet_s * 1e9
            if is_over or is_hopeless or (is_enough and quiet_s >= budget.quiet_s):
                return False
            check_at = now() + max(_CHECK_EVERY_NS, int((_CHECK_GROWTH - 1) * elapsed))

    def judged(self, level_ns: NDArray[np.float64] | None) -> Judged:
        """Return everything timed so far, judged by the lower of `level_ns` [p] and the level that it shows itself."""
        trace = self.trace()
        own_ns = own_level_ns(trace.anchor_medians_ns)
        return judged(trace, own_ns if level_ns is None else np.minimum(level_ns, own_ns))

    def _time_candidate(self) -> None:
        now, ask, record = self._clock.wall_ns, self._ask, self._record
        began, last = now(), max(0, self._n_queries - 1)
        while True:  # the same query as the last one, so that the examples go on where they were
            ask(last % self._repeat_after)
            if now() - began >= _LEAD_IN_NS:
                break
        times = list[int]()
        until = now() + SLICE_NS
        while True:
            n = self._n_queries
            before = now()
            made = ask(n % self._repeat_after)
            after = now()
            times.append(after - before)
            self._n_queries += 1
            record(n, made)
            if after >= until and len(times) >= _SLICE_QUERIES:
                break
        self._times.append(np.array(times, dtype=np.int64))
        self._slices.append(len(self._anchor_times) - 1)
        self._stretch()

    def _time_anchor(self) -> None:
        """Time a slice of the anchor, after an untimed call."""
        now, times = self._clock.wall_ns, list[list[int]]()
        for part in self._anchor:
            part()
        until = now() + ANCHOR_SLICE_NS
        while len(times) < _ANCHOR_CALLS or now() < until:
            marks = [now()]
            for part in self._anchor:
                part()
                marks.append(now())
            times.append([after - before for before, after in pairwise(marks)])
        self._anchor_times.append(np.array(times, dtype=np.int64))
        self._stretch()

    def _stretch(self) -> None:
        wall, processor = self._clock.wall_ns(), self._clock.processor_ns()
        self._stretches.append((wall - self._mark[0], processor - self._mark[1]))
        self._mark = (wall, processor)

    def trace(self) -> Trace:
        """Return everything timed so far."""
        stretches = np.asarray(self._stretches, dtype=np.int64).reshape(-1, 2)
        sizes, anchor_sizes = list(map(len, self._times)), list(map(len, self._anchor_times))
        return Trace(
            np.concatenate(self._times),
            np.repeat(np.array(self._slices), sizes),
            np.concatenate(self._anchor_times),
            np.repeat(np.arange(len(anchor_sizes)), anchor_sizes),
            stretches[:, 0],
            stretches[:, 1],
        )
