"""Sequences of variants that need no history: a lazy shuffle of all, and Sobol's well-spread points."""

from __future__ import annotations

import random
from collections.abc import Container, Iterator

from explorer.study.grid import Grid

_SOBOL_BLOCK = 64  # a power of two, which keeps every prefix balanced (Owen 2020, "On dropping the first Sobol' point")
_SOBOL_POINTS_PER_VARIANT = 16
_MAX_SOBOL_POINTS = 2**20


def shuffled(n: int, seed: int) -> Iterator[int]:
    """0 … n - 1, each once, in an order that every permutation is equally likely to be.

    The shuffle of Fisher and Yates, done as far as it is read: memory grows with what was read and not with `n`.
    """
    generator = random.Random(seed)
    moved: dict[int, int] = {}
    for position in range(n):
        chosen = generator.randrange(position, n)
        yield moved.get(chosen, chosen)
        moved[chosen] = moved.pop(position, position)


def well_spread(grid: Grid, seed: int) -> Iterator[int]:
    """Variants at the points of a scrambled Sobol sequence, with repetitions; it ends well after it filled the grid.

    Sobol' 1967; scrambling of Matoušek 1998, as in SciPy.
    """
    from scipy.stats import qmc  # type: ignore[import-untyped]

    if not grid.sizes:
        return
    engine = qmc.Sobol(d=len(grid.sizes), scramble=True, rng=seed)
    n_points = min(_MAX_SOBOL_POINTS, max(1024, _SOBOL_POINTS_PER_VARIANT * grid.n_variants))
    for _ in range(0, n_points, _SOBOL_BLOCK):
        for point in engine.random(_SOBOL_BLOCK):
            levels = [min(int(u * size), size - 1) for u, size in zip(point, grid.sizes, strict=True)]
            yield grid.index_of_levels(levels)


class Walk:
    """A sequence that is walked once: each question is answered by its first point that has not been seen.

    Points that were passed had been seen, so an answer depends on the sequence and on what has been seen, and not on
    when the walk began: a study that was stopped and goes on walks where it would have.
    """

    def __init__(self, points: Iterator[int]) -> None:
        self._points = points
        self._head: int | None = next(points, None)

    def first_unseen(self, seen: Container[int]) -> int | None:
        """The first point that is not in `seen`, which only grows; None at the end."""
        while self._head is not None and self._head in seen:
            self._head = next(self._points, None)
        return self._head
