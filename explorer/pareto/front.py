"""The front: which points no other point dominates, and the fronts behind it.

A point dominates another when it is nowhere worse and somewhere better. Equal points do not dominate each other, so
that ties and duplicates of a point of the front are on the front too.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.objectives import Direction
from explorer.pareto.border import minimized


def front_mask(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Which of `points` [n, m] are on the front, as booleans [n].

    Raises ValueError for NaN, infinities, or another number of columns than directions.
    """
    mask = moocore.is_nondominated(minimized(points, directions), keep_weakly=True)
    return np.asarray(mask, dtype=np.bool_)


def ranks(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.int64]:
    """The rank of each of `points` [n, m], as integers [n]: 0 on the front, 1 on the front of the rest, and so on.

    Non-dominated sorting (Deb et al. 2002, NSGA-II). Raises ValueError as `front_mask`.
    """
    return np.asarray(moocore.pareto_rank(minimized(points, directions)), dtype=np.int64)
