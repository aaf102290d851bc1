"""Hypervolume: how much of the objective space a front dominates, up to a reference point that never moves.

The reference point is fixed by the baseline for a study's life, so that hypervolumes over time, and of two runs of
one study, can be compared (Zitzler & Thiele 1998; Guerreiro, Fonseca & Paquete 2021 on the choice of the reference).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.objectives import Direction, Objective
from explorer.pareto.archive import Archive
from explorer.pareto.border import minimized

_WORSE_THAN_BASELINE = 1.1


def reference_point(baseline: Mapping[str, float], objectives: Sequence[Objective], n_classes: int) -> dict[str, float]:
    """The reference of each objective's metric: the worst value that still counts.

    Maximized accuracy: that of guessing, 1 / n_classes. Other maximized metrics: 0. Minimized ones: 1.1 times the
    baseline's. Raises ValueError for fewer than one class, and for a minimized metric that the baseline lacks.
    """
    if n_classes < 1:
        raise ValueError(f"n_classes must be at least 1: {n_classes}")
    reference = {}
    for objective in objectives:
        if objective.direction == "maximize":
            reference[objective.metric] = 1.0 / n_classes if objective.metric == "accuracy" else 0.0
        elif objective.metric in baseline:
            reference[objective.metric] = _WORSE_THAN_BASELINE * baseline[objective.metric]
        else:
            raise ValueError(f"the baseline has no {objective.metric}, which is minimized: {sorted(baseline)}")
    return reference


def ideal_point(objectives: Sequence[Objective]) -> dict[str, float] | None:
    """What no variant can beat, whatever is measured: accuracy 1, minimized metrics 0.

    None when an objective has no such bound (a maximized metric other than accuracy).
    """
    ideal = {}
    for objective in objectives:
        if objective.direction == "minimize":
            ideal[objective.metric] = 0.0
        elif objective.metric == "accuracy":
            ideal[objective.metric] = 1.0
        else:
            return None
    return ideal


def hypervolume(points: ArrayLike, directions: Sequence[Direction], reference: Sequence[float]) -> float:
    """The volume that `points` [n, m] dominate within the reference point [m], in the product of the metrics' units.

    A point that is not better than the reference in every objective contributes nothing; no points give 0.
    Raises ValueError for NaN, infinities, or another number of columns than directions.
    """
    turned = minimized(points, directions)
    corner = minimized([list(reference)], directions)[0]
    return float(moocore.hypervolume(turned, ref=corner))


def hypervolume_ratio(
    points: ArrayLike, directions: Sequence[Direction], reference: Sequence[float], ideal: Sequence[float]
) -> float:
    """The hypervolume as a share, in [0, 1], of the box between the reference and the ideal point; 0 for a flat box.

    Both corners are fixed, hence so is the scale. Raises ValueError as `hypervolume`.
    """
    box = hypervolume([list(ideal)], directions, reference)
    return hypervolume(points, directions, reference) / box if box > 0 else 0.0


def hypervolume_history(
    points: ArrayLike, is_feasible: Sequence[bool], directions: Sequence[Direction], reference: Sequence[float]
) -> NDArray[np.float64]:
    """The hypervolume [n] after each of `points` [n, m], taken in the order of the trials; it never falls.

    Infeasible points contribute nothing, and their rows may hold NaN. Raises ValueError for other NaN and infinities,
    and when the lengths differ.
    """
    rows = np.asarray(points, dtype=np.float64).reshape(-1, len(directions))
    if len(rows) != len(is_feasible):
        raise ValueError(f"points and is_feasible must have one length: {len(rows)} and {len(is_feasible)}")
    archive = Archive(directions, reference)
    history = np.zeros(len(rows))
    for index, feasible in enumerate(is_feasible):
        if feasible:
            archive.add(rows[index])
        history[index] = archive.hypervolume
    return history
