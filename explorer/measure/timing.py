"""Time short windows of the candidate and of the anchor in turn, until the median is known precisely. NumPy alone.

The anchor is always the same work, as is the pulse, a little arithmetic that never leaves the core. Drift of the
machine (its clock, neighbors, caches) shows in them window by window, so that it can be removed from the candidate's
times (`measure.drift_correction`).
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from explorer.intervals import percentile
from explorer.measure.drift_correction import NEIGHBORS, corrected
from explorer.measure.trace import Trace

WINDOW_NS, ANCHOR_WINDOW_NS = 20_000_000, 5_000_000
_WINDOW_QUERIES, _ANCHOR_QUERIES = 4, 3
_LEAD_IN_NS = 1_000_000  # untimed queries after each change, while the caches fill again with the candidate's data
_PULSE_BYTES, _PULSE_NS = 2**15, 200_000
_MAX_ANCHOR_SHARE = 1 / 3
_WARM_UP_QUERIES, _WARM_UP_WINDOWS, _WARM_UP_WITHIN = 5, 3, 0.05
_WARM_UP_LIMIT_NS = 2_000_000_000
_CHECK_EVERY_NS = 100_000_000
_HOPELESS = 2.0  # times the limit: the interval itself is only known by half or so


@dataclass(frozen=True, slots=True)
class Budget:
    """How long queries are timed.

    At least `min_queries` queries and `min_s` seconds, until both ends of the median's 95 % interval are within
    `within_ratio` of it; at most `limit_s` seconds, the anchor's windows included. Timing ends earlier when the limit
    will clearly not suffice: a median between two modes, as of early exits, may never be known so precisely.
    """

    min_queries: int
    min_s: float
    limit_s: float
    within_ratio: float = 0.015


FULL = Budget(200, 1.0, 4.0)
QUARTER = Budget(50, 0.25, 1.0)


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall-clock time, and processor time of this thread, in nanoseconds."""

    wall_ns: Callable[[], int] = time.perf_counter_ns
    processor_ns: Callable[[], int] = time.thread_time_ns


@final
class Timer:
    """Times `ask(n)` for n = 0, 1, 2, ...; the queries repeat after `repeat_after`.

    `record` gets n and the result of `ask(n)`, outside the timed span. `anchor` runs the anchor's query, `pulse` the
    pulse.
    """

    def __init__(
        self,
        ask: Callable[[int], Any],
        repeat_after: int,
        anchor: Callable[[], Any] | None = None,
        record: Callable[[int, Any], None] = lambda n, made: None,
        clock: Clock | None = None,
        pulse: Callable[[], Any] | None = None,
    ) -> None:
        self._ask, self._repeat_after, self._anchor, self._record = ask, repeat_after, anchor, record
        self._clock, self._pulse = clock or Clock(), pulse or made_pulse()
        self._raw_ns: list[int] = []
        self._window: list[int] = []
        self._anchor_ns: list[int] = []
        self._anchor_window: list[int] = []
        self._pulse_ns: list[int] = []
        self._pulse_window: list[int] = []
        self._stretches: list[tuple[int, int]] = []
        self._n_windows = self._n_anchor_windows = self._spent_ns = 0
        self._window_ns = WINDOW_NS

    def warm_up(self) -> bool:
        """Repeat the same few queries until three windows in a row agree within 5 %; return whether they ever did."""
        now = self._clock.wall_ns
        began = now()
        n_queries, medians = self._first_window(began), list[float]()
        while now() - began < _WARM_UP_LIMIT_NS or len(medians) < _WARM_UP_WINDOWS:
            samples = []
            for n in range(n_queries):
                before = now()
                self._ask(n % self._repeat_after)
                samples.append(now() - before)
            medians.append(float(np.median(samples)))
            last = medians[-_WARM_UP_WINDOWS:]
            if len(last) == _WARM_UP_WINDOWS and max(last) <= (1 + _WARM_UP_WITHIN) * min(last):
                return True
        return False

    def _first_window(self, began: int) -> int:
        """Return how many queries fill a window; at least a few."""
        n = taken = 0
        while not n or taken < WINDOW_NS or (n < _WARM_UP_QUERIES and taken < _WARM_UP_QUERIES * WINDOW_NS):
            self._ask(n % self._repeat_after)
            n += 1
            taken = self._clock.wall_ns() - began
        return n

    def run(self, budget: Budget) -> bool:
        """Time queries until the budget is met or used up, without garbage collection; return whether it is met."""
        gc.collect()
        gc.disable()
        try:
            return self._run(budget)
        finally:
            gc.enable()

    def _run(self, budget: Budget) -> bool:
        now = self._clock.wall_ns
        began = checked = now()
        until = began + int(budget.limit_s * 1e9)
        if self._stretches:  # time has passed since the last run: its windows are no neighbors of this one's
            self._n_windows = self._n_anchor_windows = self._n_anchor_windows + NEIGHBORS
        self._mark = (now(), self._clock.processor_ns())
        self._time_anchor()
        while True:
            self._time_candidate()
            self._time_anchor()
            is_enough = len(self._raw_ns) >= budget.min_queries and self._spent_ns >= budget.min_s * 1e9
            is_over = now() >= until
            if is_over or (is_enough and now() - checked >= _CHECK_EVERY_NS):
                excess = interval_ratio(self.trace()) / budget.within_ratio
                if is_enough and excess <= 1.0:
                    return True
                # An interval shrinks with the square root of the time.
                if is_over or (now() - began) * excess**2 > _HOPELESS * budget.limit_s * 1e9:
                    return False
                checked = now()

    def _time_candidate(self) -> None:
        now, ask, record = self._clock.wall_ns, self._ask, self._record
        first = len(self._raw_ns)
        began = now()
        while True:  # the same query as the last one, so that the images go on where they were
            ask(max(0, first - 1) % self._repeat_after)
            if now() - began >= _LEAD_IN_NS:
                break
        until = now() + self._window_ns
        while True:
            n = len(self._raw_ns)
            before = now()
            made = ask(n % self._repeat_after)
            after = now()
            self._raw_ns.append(after - before)
            self._spent_ns += after - before
            record(n, made)
            if after >= until and n + 1 - first >= _WINDOW_QUERIES:
                break
        self._window += [self._n_windows] * (len(self._raw_ns) - first)
        self._n_windows += 1
        self._stretch()

    def _time_anchor(self) -> None:
        """Time a window of the pulse and of the anchor, each after an untimed call."""
        now, began = self._clock.wall_ns, self._clock.wall_ns()
        self._time_each(self._pulse, self._pulse_ns, self._pulse_window, _PULSE_NS)
        if self._anchor is not None:
            self._time_each(self._anchor, self._anchor_ns, self._anchor_window, ANCHOR_WINDOW_NS)
        self._n_anchor_windows += 1
        self._stretch()
        self._window_ns = max(WINDOW_NS, int((now() - began) / _MAX_ANCHOR_SHARE))

    def _time_each(self, ask: Callable[[], Any], times: list[int], windows: list[int], at_least_ns: int) -> None:
        now, first = self._clock.wall_ns, len(times)
        ask()
        until = now() + at_least_ns
        while len(times) - first < _ANCHOR_QUERIES or now() < until:
            before = now()
            ask()
            times.append(now() - before)
        windows += [self._n_anchor_windows] * (len(times) - first)

    def _stretch(self) -> None:
        wall, processor = self._clock.wall_ns(), self._clock.processor_ns()
        self._stretches.append((wall - self._mark[0], processor - self._mark[1]))
        self._mark = (wall, processor)

    def trace(self) -> Trace:
        """Return everything timed so far."""
        stretches = np.asarray(self._stretches, dtype=np.int64).reshape(-1, 2)
        candidate = (np.asarray(self._raw_ns, dtype=np.int64), np.asarray(self._window, dtype=np.int64))
        anchor = (np.asarray(self._anchor_ns, dtype=np.int64), np.asarray(self._anchor_window, dtype=np.int64))
        pulse = (np.asarray(self._pulse_ns, dtype=np.int64), np.asarray(self._pulse_window, dtype=np.int64))
        return Trace(*candidate, *anchor, *pulse, stretches[:, 0], stretches[:, 1])


def made_pulse() -> Callable[[], object]:
    """Return the pulse: SHA-256 of 32 KiB, about 20 µs. Its steps depend on each other, so only the core's clock
    counts.

    It differs by 0.1 % between processes, where array arithmetic differs by several percent with its memory's layout.
    """
    content = bytes(_PULSE_BYTES)
    return lambda: hashlib.sha256(content).digest()


def interval_ratio(trace: Trace) -> float:
    """Return the larger distance of the corrected median to an end of its 95 % interval, as a ratio; inf: unknown."""
    median = percentile(corrected(trace, None).latency_ns, 50)
    if median.value is None or median.low is None or median.high is None:
        return float("inf")
    return max(median.high - median.value, median.value - median.low) / max(median.value, 1e-9)
