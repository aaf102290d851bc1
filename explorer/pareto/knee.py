"""The knee: the point of a front from which every further gain in one objective costs most in the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.objectives import Direction
from explorer.pareto.border import minimized
from explorer.pareto.front import front_mask

# Differences below this, on the normalized front, are rounding and not a preference.
_DECIMALS = 9


def normalized_front(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.float64]:
    """A front [n, m] between its ideal (0) and its nadir (1) in every objective; a column that is constant is 0.

    Raises ValueError for NaN, infinities, or another number of columns than directions.
    """
    turned = minimized(points, directions)
    if not len(turned):
        return turned
    ideal = turned.min(axis=0)
    span = turned.max(axis=0) - ideal
    normalized: NDArray[np.float64] = np.divide(turned - ideal, span, out=np.zeros_like(turned), where=span > 0)
    return normalized


def knee_index(points: ArrayLike, directions: Sequence[Direction]) -> int | None:
    """The row of the knee among `points` [n, m] (dominated points are passed over); None without points.

    The knee is the point of the front that lies farthest from the hyperplane through the front's extremes, on the
    side of the ideal (Das 1999, "On characterizing the knee of the Pareto curve"). With the front normalized between
    ideal and nadir that hyperplane is `sum = 1`, so the knee has the smallest mean. Ties go to the point whose worst
    objective is best, then to the better first, second, ... objective, then to the earlier row.
    Raises ValueError for NaN, infinities, or another number of columns than directions.
    """
    rows = np.flatnonzero(front_mask(points, directions))
    if not len(rows):
        return None
    front = np.round(normalized_front(np.asarray(points, dtype=np.float64)[rows], directions), _DECIMALS)
    means = np.round(front.mean(axis=1), _DECIMALS)
    # lexsort sorts by its last key first, and keeps the order of rows that are equal in all.
    order = np.lexsort((*front.T[::-1], front.max(axis=1), means))
    return int(rows[order[0]])
