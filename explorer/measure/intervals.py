"""95 % intervals: Wilson's for a share, order statistics for a quantile, the normal one for a mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.records import Measurement

Z = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution."""

MIN_SAMPLES = {90: 64, 95: 130, 99: 662}
"""Queries that a percentile needs, by MLPerf Inference's early-stopping rule at 99 % confidence."""


def share(n_hits: int, n: int) -> Measurement:
    """`n_hits` of `n` as a ratio in [0, 1], with Wilson's interval (Wilson 1927)."""
    ratio = n_hits / n
    center = (ratio + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(ratio * (1 - ratio) / n + Z**2 / (4 * n**2))
    # At 0 and n hits an end of the interval is the share itself, but for rounding.
    return Measurement(ratio, min(ratio, max(0.0, center - half)), max(ratio, min(1.0, center + half)), n)


def mean(samples: NDArray[Any]) -> Measurement:
    """The mean of samples [n] in their own unit, with the normal interval of a mean."""
    n = len(samples)
    value = float(np.mean(samples))
    half = Z * float(np.std(samples, ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return Measurement(value, value - half, value + half, n) if math.isfinite(half) else Measurement(value, n=n)


def percentile(samples: NDArray[Any], percent: float) -> Measurement:
    """A percentile (0-100) of samples [n], with a distribution-free interval between two order statistics.

    The interval's ends are the samples of rank l and u with P(l <= B < u) >= 0.95, B binomial(n, percent / 100)
    (Conover 1999, section 3.2); an end that no sample reaches is None. Unknown with fewer than MIN_SAMPLES samples.
    """
    n = len(samples)
    needed = MIN_SAMPLES.get(int(percent), 1)
    if n < needed:
        return Measurement.unknown(f"a {percent:g}th percentile needs {needed} queries, and {n} were timed")
    ordered = np.sort(samples)
    cumulative = np.cumsum(_binomial(n, percent / 100))
    low = int(np.searchsorted(cumulative, 0.025, side="right")) - 1
    high = int(np.searchsorted(cumulative, 0.975))
    return Measurement(
        float(np.percentile(ordered, percent, method="inverted_cdf" if percent != 50 else "linear")),
        float(ordered[low]) if low >= 0 else None,
        float(ordered[high]) if high < n else None,
        n,
    )


def _binomial(n: int, p: float) -> NDArray[np.float64]:
    """Probabilities [n + 1] of 0..n successes."""
    logs = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])
    k = np.arange(n + 1)
    return np.asarray(np.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p)))
