"""Archive: a front that grows by one point at a time, and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.objectives import Direction
from explorer.pareto.border import minimized


@final
class Archive:
    """The front of the points added so far. Adding costs one comparison with the front, not with every point."""

    def __init__(self, directions: Sequence[Direction], reference: Sequence[float]) -> None:
        """`reference` [m] bounds the hypervolume. Raises ValueError for NaN, infinities or another length."""
        self._directions = tuple(directions)
        self._reference = minimized([list(reference)], directions)[0]
        self._front: NDArray[np.float64] = np.empty((0, len(self._directions)))
        self._hypervolume = 0.0

    @property
    def n_points(self) -> int:
        """How many points are on the front, ties included."""
        return len(self._front)

    @property
    def hypervolume(self) -> float:
        """The hypervolume of the front up to the reference point."""
        return self._hypervolume

    def add(self, point: ArrayLike) -> bool:
        """Take in `point` [m]; whether it is on the front now. Raises ValueError for NaN and infinities."""
        new = minimized(np.asarray(point, dtype=np.float64).reshape(1, -1), self._directions)[0]
        is_equal = (self._front == new).all(axis=1)
        if ((self._front <= new).all(axis=1) & ~is_equal).any():
            return False
        is_dominated = (new <= self._front).all(axis=1) & ~is_equal
        self._front = np.vstack([self._front[~is_dominated], new])
        # A duplicate adds no volume, nor does a point beyond the reference: only then is the sum unchanged.
        if not is_equal.any() and (new < self._reference).all():
            self._hypervolume = max(self._hypervolume, float(moocore.hypervolume(self._front, ref=self._reference)))
        return True
