"""Points at the border of this package: checked, and turned so that smaller is better in every column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.objectives import Direction

_SIGNS = {"minimize": 1.0, "maximize": -1.0}


def signs(directions: Sequence[Direction]) -> NDArray[np.float64]:
    """[m]: 1 where smaller is better, -1 where larger is. Raises ValueError without directions or for another word."""
    unknown = [direction for direction in directions if direction not in _SIGNS]
    if unknown or not len(directions):
        raise ValueError(f"directions must be 'minimize' or 'maximize', at least one: {list(directions)}")
    return np.array([_SIGNS[direction] for direction in directions])


def minimized(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.float64]:
    """`points` [n, m] as float64 with the sign of the maximized columns turned; no points give [0, m].

    Raises ValueError for another shape, and for NaN and infinities, whose place in an order nobody has measured.
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
