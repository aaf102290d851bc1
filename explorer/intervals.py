"""Compute 95 % intervals: Wilson's for a share, batch means for quantiles and means, and paired shares."""

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

_N_BATCHES = 10
"""So few that each batch is longer than the correlation of its samples: 92 to 98 % of the intervals contain the true
value, for independent samples and for those correlated over ten queries (`benchmarks/trust.py coverage`).
"""

_BATCHED = 100


def share(n_hits: int, n: int) -> Measurement:
    """Return `n_hits` of `n` as a ratio in [0, 1] with Wilson's interval (Wilson 1927)."""
    ratio = n_hits / n
    center = (ratio + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(ratio * (1 - ratio) / n + Z**2 / (4 * n**2))
    # At 0 and n hits an end of the interval is the share itself, but for rounding.
    return Measurement(ratio, min(ratio, max(0.0, center - half)), max(ratio, min(1.0, center + half)), n)


def paired_share_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Measurement:
    """Return the share of hits in `second` [n] minus that in `first` [n], of the same n images.

    The interval is Agresti and Min's (2005): Wald's for paired shares, with half an image added to each of the four
    cells. But for rounding, it excludes 0 where McNemar's test finds a difference.
    """
    n = len(first)
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    value = (gained - lost) / n
    more, fewer, total = gained + 0.5, lost + 0.5, n + 2
    center = (more - fewer) / total
    half = Z * math.sqrt(max(0.0, (more + fewer) / total - center**2) / total)
    return Measurement(value, max(-1.0, min(value, center - half)), min(1.0, max(value, center + half)), n)


def mean(samples: NDArray[Any]) -> Measurement:
    """Return the mean of samples [n] in their own unit, with Student's interval of their batch means.

    Consecutive samples are correlated, batches of them hardly (Law and Carson 1979); their order matters. Fewer than
    100 samples are taken as independent.
    """
    n = len(samples)
    value = float(np.mean(samples))
    if n < 2:
        return Measurement(value, n=n)
    half = _half_width(samples if n < _BATCHED else _batch_means(samples))
    return Measurement(value, value - half, value + half, n)


def percentile(samples: NDArray[Any], percent: float) -> Measurement:
    """Return a percentile (0-100) of samples [n], in their order, with a distribution-free interval of order
    statistics.

    With 100 samples or more, the standard error of the share of samples up to the percentile comes from batch means,
    which allows for autocorrelation (Law and Carson 1979); the interval's ends are the quantiles of that share minus
    and plus Student's quantile of it (Woodruff 1952). With fewer, samples are taken as independent: the ends are the
    samples of rank l and u with P(l <= B < u) >= 0.95, B binomial(n, percent / 100) (Conover 1999, section 3.2). An end
    beyond all samples is None. Unknown with fewer than MIN_SAMPLES samples.
    """
    n = len(samples)
    needed = MIN_SAMPLES.get(int(percent), 1)
    if n < needed:
        return Measurement.unknown(f"a {percent:g}th percentile needs {needed} queries, and {n} were timed")
    ordered = np.sort(samples)
    value = float(np.percentile(ordered, percent, method="inverted_cdf" if percent != 50 else "linear"))
    low, high = _batched_ranks(samples, value, percent / 100) if n >= _BATCHED else _ranks(n, percent / 100)
    return Measurement(
        value,
        min(value, float(ordered[low])) if low >= 0 else None,
        max(value, float(ordered[high])) if high < n else None,
        n,
    )


def _batched_ranks(samples: NDArray[Any], value: float, p: float) -> tuple[int, int]:
    """Return the ranks (from 0) of the interval's ends, which may lie outside the samples."""
    half = _half_width(_batch_means(samples <= value))
    return math.floor((p - half) * len(samples)) - 1, math.ceil((p + half) * len(samples))


def _half_width(values: NDArray[Any]) -> float:
    """Half the width of Student's interval of the mean of independent values [n]."""
    return student(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def _batch_means(samples: NDArray[Any]) -> NDArray[np.float64]:
    return np.array([np.mean(batch) for batch in np.array_split(samples, _N_BATCHES)])


def student(dof: int) -> float:
    """Return the 97.5th percentile of Student's t: exact for one and two degrees of freedom, within 0.2 % from three
    on.

    Abramowitz and Stegun 26.7.5, since the probe imports NumPy and not SciPy.
    """
    exact = {1: 12.706204736432095, 2: 4.302652729911275}
    if dof in exact:
        return exact[dof]
    z = Z
    return (
        z
        + (z**3 + z) / (4 * dof)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * dof**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * dof**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * dof**4)
    )


def _ranks(n: int, p: float) -> tuple[int, int]:
    logs = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])
    k = np.arange(n + 1)
    binomial = np.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p))
    cumulative = np.cumsum(binomial)
    return int(np.searchsorted(cumulative, 0.025, side="right")) - 1, int(np.searchsorted(cumulative, 0.975))


EXACTLY = 1e-9
"""The relative deviation of two computations of one number, by rounding."""


def is_near(value: float | None, expected: float | None, within: float = EXACTLY) -> bool:
    """Return whether two numbers are equal but for rounding, or both unknown."""
    if value is None or expected is None:
        return value is None and expected is None
    return math.isclose(value, expected, rel_tol=within, abs_tol=1e-12)


def is_same(stated: Measurement, expected: Measurement, within: float = EXACTLY) -> bool:
    """Return whether value, interval and number of samples are equal but for rounding."""
    ends = ((stated.value, expected.value), (stated.low, expected.low), (stated.high, expected.high))
    return stated.n == expected.n and all(is_near(one, other, within) for one, other in ends)
