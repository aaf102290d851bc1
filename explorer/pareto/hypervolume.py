"""Compute the hypervolume: the volume of the objective space that a front dominates, up to a fixed reference point.

The baseline fixes the reference point for a study's life, so that hypervolumes over time and of two runs of one study
are comparable (Zitzler & Thiele 1998; Guerreiro, Fonseca & Paquete 2021 on the choice of the reference).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.metrics import Direction, Objective
from explorer.pareto.front import minimized


@final
class Archive:
    """The front of the points added so far. Adding costs one comparison with the front, not with every point."""

    def __init__(self, directions: Sequence[Direction], reference: Sequence[float]) -> None:
        """Bound the hypervolume by `reference` [m]. Raises ValueError for NaN, infinities or another length."""
        self._directions = tuple(directions)
        self._reference = minimized([list(reference)], directions)[0]
        self._front: NDArray[np.float64] = np.empty((0, len(self._directions)))
        self._hypervolume = 0.0

    @property
    def n_points(self) -> int:
        """Number of points on the front, ties included."""
        return len(self._front)

    @property
    def hypervolume(self) -> float:
        """The hypervolume of the front up to the reference point."""
        return self._hypervolume

    def add(self, point: ArrayLike) -> bool:
        """Add `point` [m] and return whether it is on the front. Raises ValueError for NaN and infinities."""
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


_WORSE_THAN_BASELINE = 1.1


def reference_point(
    baseline: Mapping[str, float], objectives: Sequence[Objective], worst: Mapping[str, float]
) -> dict[str, float]:
    """Return the reference value of each objective's metric: the worst value that still counts.

    Maximized metrics: that of `worst`, 0 if unknown. Minimized metrics: 1.1 times the baseline's. Raises ValueError for
    a minimized metric that the baseline lacks.
    """
    reference = {}
    for objective in objectives:
        if objective.direction == "maximize":
            reference[objective.metric] = worst.get(objective.metric, 0.0)
        elif objective.metric in baseline:
            reference[objective.metric] = _WORSE_THAN_BASELINE * baseline[objective.metric]
        else:
            raise ValueError(f"the baseline has no {objective.metric}, which is minimized: {sorted(baseline)}")
    return reference


def hypervolume(points: ArrayLike, directions: Sequence[Direction], reference: Sequence[float]) -> float:
    """Return the volume that `points` [n, m] dominate within the reference point [m], in the product of metrics' units.

    A point that is not better than the reference in every objective contributes nothing; no points give 0. Raises
    ValueError as `front.minimized`.
    """
    turned = minimized(points, directions)
    corner = minimized([list(reference)], directions)[0]
    return float(moocore.hypervolume(turned, ref=corner))


def hypervolume_ratio(
    points: ArrayLike, directions: Sequence[Direction], reference: Sequence[float], ideal: Sequence[float]
) -> float:
    """Return the hypervolume as a share, in [0, 1], of the box between reference and ideal point; 0 for a flat box.

    Raises ValueError as `hypervolume`.
    """
    box = hypervolume([list(ideal)], directions, reference)
    return hypervolume(points, directions, reference) / box if box > 0 else 0.0
