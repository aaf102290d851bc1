"""Compute the Pareto front, the points that no other point dominates, the fronts behind it, and its knee.

A point dominates another when it is nowhere worse and somewhere better. Equal points do not dominate each other, so
ties and duplicates of a front point are on the front too. All computation minimizes: `minimized` converts the sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.metrics import Direction

_SIGNS = {"minimize": 1.0, "maximize": -1.0}


def signs(directions: Sequence[Direction]) -> NDArray[np.float64]:
    """Return the sign of each direction, float64 [m]: 1 for minimize, -1 for maximize.

    Raises ValueError for an empty sequence or an unknown direction.
    """
    unknown = [direction for direction in directions if direction not in _SIGNS]
    if unknown or not len(directions):
        raise ValueError(f"directions must be 'minimize' or 'maximize', at least one: {list(directions)}")
    return np.array([_SIGNS[direction] for direction in directions])


def minimized(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.float64]:
    """Return `points` [n, m] as float64 with the maximized columns negated; no points give [0, m].

    Raises ValueError for another shape, NaN or infinities.
    """
    turn = signs(directions)
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0 and array.ndim <= 2:
        array = array.reshape(0, len(turn))
    if array.ndim != 2 or array.shape[1] != len(turn):
        raise ValueError(f"points must have the shape [n, {len(turn)}], one column a direction: {array.shape}")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise ValueError(f"points must be finite, without NaN: row {row} is {array[row].tolist()}")
    return np.ascontiguousarray(array * turn)


def front_mask(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Return which of `points` [n, m] are on the front, as booleans [n]. Raises ValueError as `minimized`."""
    mask = moocore.is_nondominated(minimized(points, directions), keep_weakly=True)
    return np.asarray(mask, dtype=np.bool_)


def ranks(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.int64]:
    """Return the non-domination rank of each of `points` [n, m], as integers [n]: 0 on the front, 1 on the next one.

    Non-dominated sorting (Deb et al. 2002, NSGA-II). Raises ValueError as `minimized`.
    """
    return np.asarray(moocore.pareto_rank(minimized(points, directions)), dtype=np.int64)


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
