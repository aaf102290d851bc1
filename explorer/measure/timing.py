"""Timing: short windows of the candidate and of the anchor in turn, until the median is known well enough. NumPy alone.

The anchor is always the same work, and so is the pulse, a little arithmetic that never leaves the core. What the
machine does (its clock, its neighbors, its caches) shows in them, window by window, and can be taken out of the
candidate's times (`measure.correction`).
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from explorer.measure.correction import NEIGHBORS, corrected
from explorer.measure.intervals import percentile

WINDOW_NS, ANCHOR_WINDOW_NS = 20_000_000, 5_000_000
_WINDOW_QUERIES, _ANCHOR_QUERIES = 4, 3
_LEAD_IN_NS = 1_000_000  # untimed queries after each change, while the caches fill again with the candidate's data
_PULSE_BYTES, _PULSE_NS = 2**15, 200_000
_MAX_ANCHOR_SHARE = 1 / 3
_WARM_UP_QUERIES, _WARM_UP_WINDOWS, _WARM_UP_WITHIN = 5, 3, 0.05
_WARM_UP_LIMIT_NS = 2_000_000_000
_JUDGE_EVERY_NS = 100_000_000
_HOPELESS = 2.0  # times the limit: the interval itself is only known by half or so


@dataclass(frozen=True, slots=True)
class Budget:
    """How long queries are timed.

    At least `min_queries` of them and `min_s` seconds, until the ends of the median's 95 % interval are no farther
    than `within_ratio` of it away; and not longer than `limit_s` seconds in all, the anchor's windows included, nor
    when it is plain that these will not do: a median between two modes, as of early exits, may never be known so well.
    """

    min_queries: int
    min_s: float
    limit_s: float
    within_ratio: float = 0.015


FULL = Budget(200, 1.0, 4.0)
QUARTER = Budget(50, 0.25, 1.0)


@dataclass(frozen=True, slots=True)
class Clock:
    """Nanoseconds of the wall, and those that this thread has had a processor."""

    wall_ns: Callable[[], int] = time.perf_counter_ns
    processor_ns: Callable[[], int] = time.thread_time_ns


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Raw times.

    latency_ns   [q] of the candidate's timed queries, in their order; window [q], the window of each
    anchor_ns    [a] of the anchor's, anchor_window [a]; the anchor's window w comes before the candidate's window w,
                 and one more comes after the last. Both are empty without an anchor
    pulse_ns     [p] of the pulse's, pulse_window [p], a few in each of the anchor's windows, anchor or not
    wall_ns      [s] of every stretch between two readings of the clocks, from the first query to the last, and
    processor_ns [s] how much of it this thread had a processor
    """

    latency_ns: NDArray[np.int64]
    window: NDArray[np.int64]
    anchor_ns: NDArray[np.int64]
    anchor_window: NDArray[np.int64]
    pulse_ns: NDArray[np.int64]
    pulse_window: NDArray[np.int64]
    wall_ns: NDArray[np.int64]
    processor_ns: NDArray[np.int64]

    @property
    def processor_share(self) -> float:
        """The share of the time in which the timed thread had a processor: 1 when nothing disturbs it."""
        return float(self.processor_ns.sum() / max(1, self.wall_ns.sum()))

    @property
    def longest_stop_s(self) -> float:
        """The longest time within one stretch in which this thread had no processor, in seconds."""
        return float(max(0, (self.wall_ns - self.processor_ns).max(initial=0)) / 1e9)


@final
class Timer:
    """Times `ask(n)` for n = 0, 1, 2, ..., `repeat_after` different queries again and again.

    `keep` gets n and what `ask(n)` returned, outside the timed span. `anchor` is the anchor's query, `pulse` the pulse.
    """

    def __init__(
        self,
        ask: Callable[[int], Any],
        repeat_after: int,
        anchor: Callable[[], Any] | None = None,
        keep: Callable[[int, Any], None] = lambda n, made: None,
        clock: Clock | None = None,
        pulse: Callable[[], Any] | None = None,
    ) -> None:
        self._ask, self._repeat_after, self._anchor, self._keep = ask, repeat_after, anchor, keep
        self._clock, self._pulse = clock or Clock(), pulse or made_pulse()
        self._latency: list[int] = []
        self._window: list[int] = []
        self._anchor_ns: list[int] = []
        self._anchor_window: list[int] = []
        self._pulse_ns: list[int] = []
        self._pulse_window: list[int] = []
        self._stretches: list[tuple[int, int]] = []
        self._n_windows = self._n_anchor_windows = self._spent_ns = 0
        self._window_ns = WINDOW_NS

    def warm_up(self) -> bool:
        """Ask the same few queries again until three windows in a row agree within 5 %; False when they never do."""
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
        """How many queries fill a window; at least a few."""
        n = taken = 0
        while not n or taken < WINDOW_NS or (n < _WARM_UP_QUERIES and taken < _WARM_UP_QUERIES * WINDOW_NS):
            self._ask(n % self._repeat_after)
            n += 1
            taken = self._clock.wall_ns() - began
        return n

    def run(self, budget: Budget) -> bool:
        """Time queries until the budget is satisfied or used up; whether it is satisfied. It can be called again.

        What was timed before counts, and the garbage collector rests meanwhile.
        """
        gc.collect()
        gc.disable()
        try:
            return self._run(budget)
        finally:
            gc.enable()

    def _run(self, budget: Budget) -> bool:
        now = self._clock.wall_ns
        began = judged = now()
        until = began + int(budget.limit_s * 1e9)
        if self._stretches:  # time has passed since the last run: its windows are no neighbors of this one's
            self._n_windows = self._n_anchor_windows = self._n_anchor_windows + NEIGHBORS
        self._mark = (now(), self._clock.processor_ns())
        self._time_anchor()
        while True:
            self._time_candidate()
            self._time_anchor()
            is_enough = len(self._latency) >= budget.min_queries and self._spent_ns >= budget.min_s * 1e9
            is_over = now() >= until
            if is_over or (is_enough and now() - judged >= _JUDGE_EVERY_NS):
                excess = interval_ratio(self.timed()) / budget.within_ratio
                if is_enough and excess <= 1.0:
                    return True
                # An interval shrinks with the square root of the time.
                if is_over or (now() - began) * excess**2 > _HOPELESS * budget.limit_s * 1e9:
                    return False
                judged = now()

    def _time_candidate(self) -> None:
        now, ask, keep = self._clock.wall_ns, self._ask, self._keep
        first = len(self._latency)
        began = now()
        while True:  # the same query as the last one, so that the images go on where they were
            ask(max(0, first - 1) % self._repeat_after)
            if now() - began >= _LEAD_IN_NS:
                break
        until = now() + self._window_ns
        while True:
            n = len(self._latency)
            before = now()
            made = ask(n % self._repeat_after)
            after = now()
            self._latency.append(after - before)
            self._spent_ns += after - before
            keep(n, made)
            if after >= until and n + 1 - first >= _WINDOW_QUERIES:
                break
        self._window += [self._n_windows] * (len(self._latency) - first)
        self._n_windows += 1
        self._stretch()

    def _time_anchor(self) -> None:
        """A window of the pulse and of the anchor, each after a first untimed one."""
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
        """Read both clocks."""
        wall, processor = self._clock.wall_ns(), self._clock.processor_ns()
        self._stretches.append((wall - self._mark[0], processor - self._mark[1]))
        self._mark = (wall, processor)

    def timed(self) -> Timed:
        """Everything that was timed so far."""
        stretches = np.asarray(self._stretches, dtype=np.int64).reshape(-1, 2)
        return Timed(
            np.asarray(self._latency, dtype=np.int64),
            np.asarray(self._window, dtype=np.int64),
            np.asarray(self._anchor_ns, dtype=np.int64),
            np.asarray(self._anchor_window, dtype=np.int64),
            np.asarray(self._pulse_ns, dtype=np.int64),
            np.asarray(self._pulse_window, dtype=np.int64),
            stretches[:, 0],
            stretches[:, 1],
        )


def made_pulse() -> Callable[[], object]:
    """SHA-256 of 32 KiB, about 20 µs: each step waits for the one before, so that only the core's clock decides.

    From process to process it differs by 0.1 %, where array arithmetic differs by several percent with the places that
    its memory happens to get.
    """
    content = bytes(_PULSE_BYTES)
    return lambda: hashlib.sha256(content).digest()


def interval_ratio(timed: Timed) -> float:
    """How far the farther end of the corrected median's 95 % interval is from it, as a ratio of it; inf: unknown."""
    median = percentile(corrected(timed, None).latency_ns, 50)
    if median.value is None or median.low is None or median.high is None:
        return float("inf")
    return max(median.high - median.value, median.value - median.low) / max(median.value, 1e-9)
