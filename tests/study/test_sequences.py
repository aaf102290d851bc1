from __future__ import annotations

from itertools import islice

from fakes import VOCABULARY, small_space
from hypothesis import given
from hypothesis import strategies as st

from explorer.study.grid import Grid
from explorer.study.sequences import Walk, shuffled, well_spread


@given(st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_shuffled_any_length_is_a_permutation(n, seed):
    assert sorted(shuffled(n, seed)) == list(range(n))
    assert list(shuffled(n, seed)) == list(shuffled(n, seed))


def test_shuffled_is_uniform_over_permutations():
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(6000):
        order = tuple(shuffled(3, seed))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts.values())  # 1000 ± 5 standard deviations


def test_shuffled_huge_range_is_lazy():
    assert len(set(islice(shuffled(10**15, 0), 100))) == 100


def test_well_spread_covers_every_level_soon():
    grid = Grid(small_space(), VOCABULARY)
    first = [grid.levels(index) for index in islice(well_spread(grid, 0), 64)]
    for axis, size in enumerate(grid.sizes):
        counts = [sum(levels[axis] == level for levels in first) for level in range(size)]
        assert max(counts) - min(counts) <= 2


def test_well_spread_space_without_axes_is_empty():
    grid = Grid(small_space(width=(1.0,), pruning_ratio=(0.0,), quantization=("none",), runtime=("eager",)), VOCABULARY)
    assert list(well_spread(grid, 0)) == []


def test_walk_late_start_gives_what_an_early_one_would():
    seen: set[int] = set()
    early = Walk(shuffled(50, 3))
    for _ in range(50):
        point = early.first_unseen(seen)
        assert point == Walk(shuffled(50, 3)).first_unseen(seen) == early.first_unseen(seen)
        assert point is not None
        seen.add(point)
    assert early.first_unseen(seen) is None
