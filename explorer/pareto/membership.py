"""Compute front membership of uncertain points: probabilities, ties, and which points can reach a front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.metrics import Direction
from explorer.pareto.front import minimized, signs


def optimistic(
    values: ArrayLike, low: ArrayLike, high: ArrayLike, directions: Sequence[Direction]
) -> NDArray[np.float64]:
    """Return the better end of each interval in the metrics' own units; the value where that end is unknown (NaN).

    All arrays are [m] or [n, m], like the result. Raises ValueError as `front.signs`.
    """
    best = np.where(signs(directions) > 0, np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))
    return np.where(np.isnan(best), np.asarray(values, dtype=np.float64), best)


def may_belong(corners: ArrayLike, others: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Return which optimistic corners [n, m] no point of `others` [k, m] dominates, as booleans [n].

    A corner is not dominated by an equal point. Raises ValueError as `front.minimized`.
    """
    wanted, known = minimized(corners, directions), minimized(others, directions)
    reaches = np.ones(len(wanted), dtype=np.bool_)
    for index, corner in enumerate(wanted):
        reaches[index] = not ((known <= corner).all(axis=1) & (known < corner).any(axis=1)).any()
    return reaches


_LOW, _HIGH = 2.5, 97.5
"""Percentiles: the ends of a 95 % interval."""

_CHUNK = 4_000_000  # comparisons at once, each a byte


def membership(
    samples: NDArray[np.float64], directions: Sequence[Direction], is_allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the share of samples [d, n, m] in which each of n points is on the front, as ratios [n].

    All points of one sample are drawn jointly, so common errors cancel. Where `is_allowed` [d, n] is False, a point is
    no member and dominates none. Raises ValueError without samples and as `front.minimized`.
    """
    _check(samples)
    is_taken = np.ones(samples.shape[:2], dtype=np.bool_) if is_allowed is None else is_allowed
    points = np.full(samples.shape, np.inf)  # dominates nothing
    points[is_taken] = minimized(samples[is_taken], directions)
    size = max(1, _CHUNK // max(1, samples.shape[1] ** 2 * samples.shape[2]))
    is_beaten = [_dominated(points[first : first + size]) for first in range(0, len(points), size)]
    shares: NDArray[np.float64] = (is_taken & ~np.concatenate(is_beaten)).mean(axis=0)
    return shares


def _dominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which minimized points [d, n, m] another of the same sample dominates, as booleans [d, n]."""
    one, other = points[:, :, np.newaxis], points[:, np.newaxis]
    dominates = np.all(one <= other, axis=3) & np.any(one < other, axis=3)
    return np.asarray(np.any(dominates, axis=1), dtype=np.bool_)


def ties(samples: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points with samples [d, n, m] are indistinguishable, as booleans [n, n] with a False diagonal.

    Two are tied when the 95 % percentile interval of their paired difference contains 0 in every objective (Efron &
    Tibshirani 1993, chapter 13). Raises ValueError without samples.
    """
    _check(samples)
    n = samples.shape[1]
    is_tied = np.zeros((n, n), dtype=np.bool_)
    for index in range(n - 1):
        differences = samples[:, index + 1 :] - samples[:, index : index + 1]
        low, high = np.percentile(differences, (_LOW, _HIGH), axis=0)
        is_tied[index, index + 1 :] = ((low <= 0) & (high >= 0)).all(axis=1)
    return is_tied | is_tied.T


def _check(samples: NDArray[np.float64]) -> None:
    if samples.ndim != 3 or not len(samples):
        raise ValueError(f"samples must have the shape [d, n, m] with at least one sample: {samples.shape}")
