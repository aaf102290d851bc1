"""Drift correction: the times that a candidate would have had, had the machine been as it was at the reference.

Two things are timed in turn with the candidate. The pulse is arithmetic that never leaves the core. It slows down with
the core (its clock, a neighbor on the same core), as every candidate does, and is corrected in full. The anchor is a
network of several megabytes. It slows down further when others contend for caches and memory, which affects candidates
differently: a small int8 network not at all, a large float32 one as much as the anchor. So each candidate's
*sensitivity* to it is estimated from the windows of its own measurement.

One process that runs the anchor differs from the next by some percent, because of where its memory lies, which is not
drift of the machine. That much of the anchor's distance from its reference is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure.trace import Trace

NEIGHBORS = 2
"""Anchor windows before and after each candidate window with which it is compared: a single one is noisy."""

_NEGLIGIBLE = 0.02
"""Ridge term (Hoerl and Kennard 1970). Where the anchor's logarithm has this standard deviation, the sensitivity is
shrunk to half of its estimate, at half of it to a fifth: there it is mostly noise.
"""

_LAYOUT = 0.08
"""Difference between processes that run one network on an idle machine (logarithm): up to 0.1 was observed."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Median times, in ns, to which all times of a study are related; `anchor_ns` is None without an anchor."""

    anchor_ns: float | None
    pulse_ns: float


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """Corrected times [q] in ns, and the sensitivity, in [0, 1], to what slows the anchor beyond the pulse."""

    latency_ns: NDArray[np.float64]
    sensitivity: float


def own_reference(trace: Trace) -> Reference:
    """Return the median times of this measurement itself."""
    anchor_ns = float(np.median(trace.anchor_ns)) if len(trace.anchor_ns) else None
    return Reference(anchor_ns, float(np.median(trace.pulse_ns)))


def whole_reference(trace: Trace, reference: Reference | None) -> Reference:
    """Return `reference`, completed with this measurement's own times where it has none."""
    own = own_reference(trace)
    if reference is None:
        return own
    return reference if reference.anchor_ns is not None else Reference(own.anchor_ns, reference.pulse_ns)


def corrected(trace: Trace, reference: Reference | None) -> Corrected:
    """Return the candidate's times, corrected window by window. `reference` None: that of this measurement itself."""
    raw_ns = trace.raw_ns.astype(np.float64)
    if not len(raw_ns):
        return Corrected(raw_ns, 0.0)
    reference = whole_reference(trace, reference)
    pulse = np.log(_local(trace.pulse_ns, trace.pulse_window, trace.window) / reference.pulse_ns)
    if reference.anchor_ns is None or not len(trace.anchor_ns):
        return Corrected(raw_ns / np.exp(pulse[trace.window]), 0.0)
    anchor = np.log(_local(trace.anchor_ns, trace.anchor_window, trace.window) / reference.anchor_ns) - pulse
    present = np.unique(trace.window)
    candidate = np.log(window_medians(raw_ns, trace.window)) - pulse[present]
    sensitivity = _sensitivity(candidate, anchor[present])
    offset = float(np.median(anchor[present]))
    drift = anchor - np.clip(offset, -_LAYOUT, _LAYOUT)
    return Corrected(raw_ns / np.exp((pulse + sensitivity * drift)[trace.window]), sensitivity)


def window_medians(values: NDArray[Any], window: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the median of each window that has values, in order; values [q] and sorted window numbers [q]."""
    begins = np.flatnonzero(np.diff(window, prepend=window[0] - 1))
    return np.array([np.median(part) for part in np.split(values, begins[1:])])


def dispersion(trace: Trace) -> float:
    """Return the spread of the anchor's window medians as a ratio of their median; 0 without an anchor.

    The spread is the interquartile range over 1.349: the standard deviation of a normal sample, robust to outliers.
    """
    if not len(trace.anchor_ns):
        return 0.0
    low, center, high = np.percentile(window_medians(trace.anchor_ns, trace.anchor_window), [25, 50, 75])
    return float((high - low) / 1.349 / center)


def _sensitivity(candidate: NDArray[np.float64], anchor: NDArray[np.float64]) -> float:
    """Return the slope, in [0, 1], of the candidate's windows [w] over the anchor's [w], both logarithms, shrunk to 0.

    The candidate's outliers are clipped to Tukey's fences, so that one interrupted window cannot decide.
    """
    low, high = np.percentile(candidate, [25, 75])
    fence = 1.5 * (high - low)
    clipped = np.clip(candidate, low - fence, high + fence)
    x, y = anchor - anchor.mean(), clipped - clipped.mean()
    return float(np.clip((x @ y) / (x @ x + len(x) * _NEGLIGIBLE**2), 0.0, 1.0))


def _local(values: NDArray[np.int64], at: NDArray[np.int64], window: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the median of `values` around each of the candidate's windows [w]: over the neighboring windows `at`.

    NaN for a window without neighbors, which the candidate does not have.
    """
    windows = np.arange(int(window[-1]) + 1)
    first = np.searchsorted(at, windows - NEIGHBORS + 1)
    stop = np.searchsorted(at, windows + NEIGHBORS, side="right")
    return np.array([np.median(values[a:b]) if b > a else np.nan for a, b in zip(first, stop, strict=True)])
