"""Brute force that shares no code with the package, and strategies for small sets of points with many ties."""

import itertools

import numpy as np
from hypothesis import strategies as st


def dominates(one, other, directions):
    """Nowhere worse and somewhere better."""
    better = [a < b if d == "minimize" else a > b for a, b, d in zip(one, other, directions, strict=True)]
    worse = [a > b if d == "minimize" else a < b for a, b, d in zip(one, other, directions, strict=True)]
    return any(better) and not any(worse)


def front(points, directions):
    """Whether each point is dominated by none."""
    return [not any(dominates(other, point, directions) for other in points) for point in points]


def ranks(points, directions):
    """Peel one front after the other."""
    found, left, rank = {}, list(range(len(points))), 0
    while left:
        mask = front([points[i] for i in left], directions)
        found |= {i: rank for i, kept in zip(left, mask, strict=True) if kept}
        left, rank = [i for i, kept in zip(left, mask, strict=True) if not kept], rank + 1
    return [found[i] for i in range(len(points))]


def hypervolume(points, directions, reference):
    """Count the unit cells, for whole-number points: a cell is dominated when a point is at least as good as it."""
    turned = [[v if d == "minimize" else -v for v, d in zip(p, directions, strict=True)] for p in points]
    corner = [v if d == "minimize" else -v for v, d in zip(reference, directions, strict=True)]
    if not turned:
        return 0
    ranges = [range(min(p[k] for p in turned), corner[k]) for k in range(len(corner))]
    return sum(any(all(np.less_equal(p, cell)) for p in turned) for cell in itertools.product(*ranges))


@st.composite
def tied_points(draw, max_points=12, max_objectives=4, top=4):
    """Whole-number points in few places, so that ties and duplicates abound, and their directions."""
    n_objectives = draw(st.integers(1, max_objectives))
    directions = draw(st.lists(st.sampled_from(["minimize", "maximize"]), min_size=n_objectives, max_size=n_objectives))
    row = st.lists(st.integers(0, top), min_size=n_objectives, max_size=n_objectives)
    return draw(st.lists(row, min_size=0, max_size=max_points)), tuple(directions)
