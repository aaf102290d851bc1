"""The quiet state of a core: which slices of a measurement were taken in it, and the times that they give.

A rented core has a fast and a slow state that no counter of the guest shows: work on the other thread of the same core,
or contention for its caches, in spells of half a second to some seconds. How much slower the slow one is depends on the
network (1.5 times for a small int8 one, 1.35 for a float32 one), so that times cannot be corrected for it. But the
anchor (`measure.anchor`) shows which state it is. So a slice counts when every part of the anchor was at its quiet
level immediately before and after it, and the timed thread kept its core. Where no slice was, the quietest ones count,
corrected by the anchor, and the interval is wider by as much as that correction may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer import intervals
from explorer.measure.trace import Trace
from explorer.records import Measurement

WIDTH = 0.06
"""How far above its quiet level the anchor may be, as a ratio: its clock varies by so much in the quiet state."""

FEWEST = 3
"""Quiet slices that are needed for a value: of fewer, one that was disturbed within itself could decide."""

_QUIETEST_PERCENT = 25
_UNCERTAIN_SENSITIVITY = 0.5
"""Half the range of what candidates feel of the anchor's slowness, as logarithms: from half of it to one and a half."""

BETWEEN_PROCESSES = 0.005
"""Standard deviation between processes that run the same file in the quiet state, as a ratio: where memory lies. On a
core that is often not quiet it is larger for some networks: see docs/measuring.md."""

_MODE_WIDTH = 0.03
_MODE_SHARE, _MODE_MOST = 0.05, 20  # of all slices, and so many at most: a second of the quiet state suffices


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The times of a measurement, judged by the state of the core.

    latency_ns  [q] of each query, related to the anchor's quiet level
    counts      [q] whether it belongs to a slice that counts
    level_ns    [p] the quiet level of each of the anchor's parts
    slowness    [w] of the anchor's slowest part beside each of the candidate's slices, over its level and over the
                share of the slice in which the timed thread had a processor
    processor_share  of the slices that count; is_shared: hardly a slice had its core throughout
    excess      how much slower than its level the anchor was beside the slices that count, as a ratio; 0: all are quiet
    """

    latency_ns: NDArray[np.float64]
    counts: NDArray[np.bool_]
    level_ns: NDArray[np.float64]
    slowness: NDArray[np.float64]
    processor_share: float
    is_shared: bool
    excess: float

    @property
    def n_quiet(self) -> int:
        """Number of slices that were taken in the quiet state."""
        return int((self.slowness < 1 + WIDTH).sum())

    @property
    def is_quiet(self) -> bool:
        """Whether enough slices were taken in the quiet state, so that these alone count."""
        return self.n_quiet >= FEWEST

    @property
    def uncertainty(self) -> float:
        """What the spread of the times within this process does not show, as half of a 95 % interval's ratio.

        These are the difference from another process, and a correction for a state that was never quiet.
        """
        return float(np.hypot(np.sqrt(2) * intervals.Z * BETWEEN_PROCESSES, _UNCERTAIN_SENSITIVITY * self.excess))

    @property
    def interval_ratio(self) -> float:
        """The larger distance of the median to an end of its 95 % interval within this process, as a ratio.

        Infinite where too little was quiet for an interval.
        """
        if not self.is_quiet:
            return float("inf")
        median = intervals.percentile(self.latency_ns[self.counts], 50)
        if median.value is None or median.low is None or median.high is None:
            return float("inf")
        return max(median.high - median.value, median.value - median.low) / max(median.value, 1e-9)


def judged(trace: Trace, level_ns: NDArray[np.float64]) -> Judged:
    """Return the times of a trace, judged by the quiet level of each of the anchor's parts [p]."""
    anchor = np.log(trace.anchor_medians_ns / level_ns)
    slices, place = np.unique(trace.slice, return_inverse=True)
    before, after = anchor[slices], anchor[slices + 1]
    anchor_slowness = np.exp(np.maximum(before, after).max(axis=1))
    wall_ns, processor_ns = trace.slice_stretches_ns
    share = np.clip(processor_ns / wall_ns, 1e-3, 1.0)
    slowness = anchor_slowness / share
    limit, is_quiet = 1 + WIDTH, (slowness < 1 + WIDTH).sum() >= FEWEST
    if not is_quiet:
        limit = float(np.nextafter(np.percentile(slowness, _QUIETEST_PERCENT), np.inf))
    counts = slowness < limit
    around = (before + after) / 2
    # A clock that varies changes all times alike, the first part's most exactly; the slow state each in its way.
    drift = around[:, 0] if is_quiet else around.mean(axis=1)
    return Judged(
        latency_ns=trace.raw_ns / np.exp(drift[place]),
        counts=counts[place],
        level_ns=level_ns,
        slowness=slowness,
        processor_share=float(processor_ns[counts].sum() / wall_ns[counts].sum()),
        is_shared=bool(np.sort(share)[-FEWEST:].min() * (1 + WIDTH) < 1),
        excess=0.0 if is_quiet else max(0.0, float(anchor_slowness[counts].mean()) - 1),
    )


def lower_mode_ns(times_ns: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the lowest time around which enough of the times [n] are: the anchor's level in the quiet state.

    `weights` [n] is how often each time was observed; None: once.
    """
    logs = np.log(np.asarray(times_ns, dtype=np.float64))
    order = np.argsort(logs)
    logs = logs[order]
    masses = np.ones(len(logs)) if weights is None else np.asarray(weights, dtype=np.float64)[order]
    total = np.concatenate([[0.0], np.cumsum(masses)])
    within = total[np.searchsorted(logs, logs + _MODE_WIDTH, side="right")] - total[:-1]
    least = min(within.max(), np.clip(_MODE_SHARE * total[-1], FEWEST, _MODE_MOST))
    first = logs[np.argmax(within >= least)]
    is_near = (logs >= first) & (logs <= first + _MODE_WIDTH)
    for _ in range(10):  # mean shift: from the mode's lower edge to its middle
        center = float(np.average(logs[is_near], weights=masses[is_near]))
        is_near = np.abs(logs - center) <= _MODE_WIDTH / 2
        if not is_near.any():
            break
    return float(np.exp(center))


def for_later(stated: Measurement, found: Judged) -> Measurement:
    """Return a measurement of this process with an interval that holds the value of a later one.

    The later one has the same error of sampling, and both have `Judged.uncertainty`.
    """
    value = stated.value
    if value is None:
        return stated
    further = found.uncertainty * value
    low, high = (
        None if end is None else float(np.hypot(np.sqrt(2) * (value - end), further))
        for end in (stated.low, stated.high)
    )
    return Measurement(
        value, None if low is None else max(0.0, value - low), None if high is None else value + high, stated.n
    )
