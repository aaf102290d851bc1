"""Membership: how probably each of several uncertain points is on their front, and which cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.objectives import Direction
from explorer.pareto.front import front_mask

_LOW, _HIGH = 2.5, 97.5
"""Percentiles: the ends of a 95 % interval."""


def membership(
    draws: NDArray[np.float64], directions: Sequence[Direction], is_allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The share of the draws [d, n, m] in which each of n points is on the front, as ratios [n].

    In one draw all points are drawn together, so that what they have in common cancels. Equal points are on the front
    together or not at all. Where `is_allowed` [d, n] is False, a point is no member and dominates none. Raises
    ValueError without draws, for NaN, infinities, or another number of columns.
    """
    _check(draws)
    is_member = np.ones(draws.shape[:2], dtype=np.bool_) if is_allowed is None else is_allowed.copy()
    for draw, members in zip(draws, is_member, strict=True):
        members[members] = front_mask(draw[members], directions)
    shares: NDArray[np.float64] = is_member.mean(axis=0)
    return shares


def ties(draws: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the points with draws [d, n, m] cannot be told apart, as booleans [n, n]; nobody is tied with itself.

    Two are tied when the 95 % interval of their difference, draw by draw (percentiles; Efron & Tibshirani 1993,
    chapter 13), has 0 in it in every objective. Raises ValueError without draws.
    """
    _check(draws)
    n = draws.shape[1]
    is_tied = np.zeros((n, n), dtype=np.bool_)
    for index in range(n - 1):
        differences = draws[:, index + 1 :] - draws[:, index : index + 1]
        low, high = np.percentile(differences, (_LOW, _HIGH), axis=0)
        is_tied[index, index + 1 :] = ((low <= 0) & (high >= 0)).all(axis=1)
    return is_tied | is_tied.T


def _check(draws: NDArray[np.float64]) -> None:
    if draws.ndim != 3 or not len(draws):
        raise ValueError(f"draws must have the shape [d, n, m] with at least one draw: {draws.shape}")
