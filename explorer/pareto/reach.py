"""Reach: whether a point that is known up to intervals may belong to a front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.objectives import Direction
from explorer.pareto.border import minimized, signs


def optimistic(
    values: ArrayLike, low: ArrayLike, high: ArrayLike, directions: Sequence[Direction]
) -> NDArray[np.float64]:
    """The best end of each interval, in the metrics' own units; the value where that end is not known (NaN).

    values, low, high  [m] or [n, m], and so is what is returned. Raises ValueError as `border.signs`.
    """
    best = np.where(signs(directions) > 0, np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))
    return np.where(np.isnan(best), np.asarray(values, dtype=np.float64), best)


def may_belong(corners: ArrayLike, others: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Which of the points with these optimistic corners [n, m] no point of `others` [k, m] dominates, as booleans [n].

    A corner that equals another point is not dominated by it. Raises ValueError for NaN, infinities, or another number
    of columns than directions.
    """
    wanted, known = minimized(corners, directions), minimized(others, directions)
    reaches = np.ones(len(wanted), dtype=np.bool_)
    for index, corner in enumerate(wanted):
        reaches[index] = not ((known <= corner).all(axis=1) & (known < corner).any(axis=1)).any()
    return reaches
