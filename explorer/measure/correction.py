"""Correction: a candidate's times as they would have been, had the machine run the anchor at its reference speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from explorer.measure.timing import Timed

NEIGHBORS = 2
"""A window of the candidate is compared with so many of the anchor's before it and after it: one alone is noisy."""


def corrected(timed: Timed, reference_ns: float | None) -> NDArray[np.float64]:
    """The candidate's times [q] in ns, each divided by the anchor's local slowness: its median nearby / the reference.

    Without an anchor they are the raw ones. `reference_ns` None: the anchor's median of this very measurement.
    """
    raw = timed.latency_ns.astype(np.float64)
    if not len(timed.anchor_ns) or not len(raw):
        return raw
    reference = anchor_median_ns(timed) if reference_ns is None else reference_ns
    return np.asarray(raw * (reference / _local(timed)[timed.window]))


def anchor_median_ns(timed: Timed) -> float:
    """The anchor's median time in this measurement, in ns; it must have an anchor."""
    return float(np.median(timed.anchor_ns))


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


def _local(timed: Timed) -> NDArray[np.float64]:
    """The anchor's median around each window of the candidate [w]: over the windows next to it on both sides."""
    windows = np.arange(int(timed.window[-1]) + 1)
    first = np.searchsorted(timed.anchor_window, windows - NEIGHBORS + 1)
    stop = np.searchsorted(timed.anchor_window, windows + NEIGHBORS, side="right")
    return np.array([np.median(timed.anchor_ns[a:b]) if b > a else np.nan for a, b in zip(first, stop, strict=True)])
