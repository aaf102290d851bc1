"""Correction: a candidate's times as they would have been, had the machine been as it was at the reference.

Two things are timed in turn with the candidate. The pulse, arithmetic that never leaves the core, slows down when the
core does (its clock, a neighbor on the same core): every candidate slows down with it, and is corrected in full. The
anchor, a network of several megabytes, slows down beyond that when others contend for the caches and the memory. By how
much a candidate feels this differs from one to the next: a small int8 network not at all, while a large float32 one
feels it as the anchor does. So its *sensitivity* is estimated from the windows of the measurement itself. And one
process that runs the anchor differs from the next by some percent, with the places that its memory happens to get,
which says nothing about the machine: so much of the anchor's distance from its reference does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from explorer.measure.timing import Timed

NEIGHBORS = 2
"""A window of the candidate is compared with so many of the anchor's before it and after it: one alone is noisy."""

_NEGLIGIBLE = 0.02
"""Where the anchor moved by less than this (standard deviation of its logarithm), sensitivity is more guess than
estimate, and is shrunk towards none: half at this, a fifth at half of it (ridge regression, Hoerl and Kennard 1970)."""

_LAYOUT = 0.08
"""What the same network differs by from process to process on an idle machine (logarithm): seen up to 0.1."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What all times of a study are related to: the median times of anchor (None: without one) and pulse, in ns."""

    anchor_ns: float | None
    pulse_ns: float


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """Corrected times [q] in ns, and how: the sensitivity to what slows the anchor beyond the pulse, in [0, 1]."""

    latency_ns: NDArray[np.float64]
    sensitivity: float


def own_reference(timed: Timed) -> Reference:
    """The medians of this very measurement."""
    anchor_ns = float(np.median(timed.anchor_ns)) if len(timed.anchor_ns) else None
    return Reference(anchor_ns, float(np.median(timed.pulse_ns)))


def whole_reference(timed: Timed, reference: Reference | None) -> Reference:
    """`reference`, with this measurement's own times for what it has not."""
    own = own_reference(timed)
    if reference is None:
        return own
    return reference if reference.anchor_ns is not None else Reference(own.anchor_ns, reference.pulse_ns)


def corrected(timed: Timed, reference: Reference | None) -> Corrected:
    """The candidate's times, corrected window by window. `reference` None: that of this very measurement."""
    raw = timed.latency_ns.astype(np.float64)
    if not len(raw):
        return Corrected(raw, 0.0)
    related_to = whole_reference(timed, reference)
    pulse = np.log(_local(timed.pulse_ns, timed.pulse_window, timed.window) / related_to.pulse_ns)
    if related_to.anchor_ns is None or not len(timed.anchor_ns):
        return Corrected(raw / np.exp(pulse[timed.window]), 0.0)
    anchor = np.log(_local(timed.anchor_ns, timed.anchor_window, timed.window) / related_to.anchor_ns) - pulse
    present = np.unique(timed.window)
    candidate = np.log(window_medians(raw, timed.window)) - pulse[present]
    sensitivity = _sensitivity(candidate, anchor[present])
    offset = float(np.median(anchor[present]))
    counts = anchor - np.clip(offset, -_LAYOUT, _LAYOUT)
    return Corrected(raw / np.exp((pulse + sensitivity * counts)[timed.window]), sensitivity)


def window_medians(values: NDArray[Any], window: NDArray[np.int64]) -> NDArray[np.float64]:
    """The median of each window that has values, in their order; `window` is sorted."""
    begins = np.flatnonzero(np.diff(window, prepend=window[0] - 1))
    return np.array([np.median(part) for part in np.split(values, begins[1:])])


def dispersion(timed: Timed) -> float:
    """How unsteady the anchor was: the spread of its windows' medians, as a ratio of their median.

    The distance between the quartiles over 1.349, which is the standard deviation of a normal sample, and hears of no
    single outlier; 0 without an anchor.
    """
    if not len(timed.anchor_ns):
        return 0.0
    low, center, high = np.percentile(window_medians(timed.anchor_ns, timed.anchor_window), [25, 50, 75])
    return float((high - low) / 1.349 / center)


def _sensitivity(candidate: NDArray[np.float64], anchor: NDArray[np.float64]) -> float:
    """The slope of a candidate's windows [w] over the anchor's [w], both logarithms, shrunk towards 0, in [0, 1].

    Windows that lie far out in the candidate count as the quartiles' fences do (Winsor's way), so that one that was
    interrupted cannot decide.
    """
    low, high = np.percentile(candidate, [25, 75])
    fence = 1.5 * (high - low)
    held = np.clip(candidate, low - fence, high + fence)
    x, y = anchor - anchor.mean(), held - held.mean()
    return float(np.clip((x @ y) / (x @ x + len(x) * _NEGLIGIBLE**2), 0.0, 1.0))


def _local(values: NDArray[np.int64], at: NDArray[np.int64], window: NDArray[np.int64]) -> NDArray[np.float64]:
    """The median of `values` around each window of the candidate [w]: over the windows `at` next to it on both sides.

    A window that the candidate does not have may have no neighbors, and is NaN.
    """
    windows = np.arange(int(window[-1]) + 1)
    first = np.searchsorted(at, windows - NEIGHBORS + 1)
    stop = np.searchsorted(at, windows + NEIGHBORS, side="right")
    return np.array([np.median(values[a:b]) if b > a else np.nan for a, b in zip(first, stop, strict=True)])
