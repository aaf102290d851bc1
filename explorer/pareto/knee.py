"""Compute the knee of a front: the point from which every further gain in one objective costs most in the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.metrics import Direction
from explorer.pareto.front import front_mask, minimized

# Differences below this, on the normalized front, are rounding and not a preference.
_DECIMALS = 9


def normalized_front(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.float64]:
    """Return a front [n, m] scaled to 0 at its ideal, 1 at its nadir, or constant 0. Raises as `minimized`."""
    turned = minimized(points, directions)
    if not len(turned):
        return turned
    ideal = turned.min(axis=0)
    span = turned.max(axis=0) - ideal
    normalized: NDArray[np.float64] = np.divide(turned - ideal, span, out=np.zeros_like(turned), where=span > 0)
    return normalized


def knee_index(points: ArrayLike, directions: Sequence[Direction]) -> int | None:
    """Return the row of the knee among `points` [n, m], dominated points skipped; None without points.

    The knee is the front point farthest from the hyperplane through the front's extremes, on the ideal's side (Das
    1999, "On characterizing the knee of the Pareto curve"). On the normalized front that hyperplane is `sum = 1`, so
    the knee has the smallest mean. Ties go to the smallest worst objective, then to the better first, second, ...
    objective, then to the earlier row. Raises ValueError as `minimized`.
    """
    rows = np.flatnonzero(front_mask(points, directions))
    if not len(rows):
        return None
    front = np.round(normalized_front(np.asarray(points, dtype=np.float64)[rows], directions), _DECIMALS)
    means = np.round(front.mean(axis=1), _DECIMALS)
    # lexsort sorts by its last key first, and keeps the order of rows that are equal in all.
    order = np.lexsort((*front.T[::-1], front.max(axis=1), means))
    return int(rows[order[0]])
