"""Compute the Pareto front: the points that no other point dominates, and the fronts behind it.

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
