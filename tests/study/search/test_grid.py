from __future__ import annotations

import pytest
from fakes import VOCABULARY, small_space
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from explorer.records import Variant
from explorer.study.search.grid import Grid

numbers = st.lists(st.sampled_from([0.25, 0.3, 0.5, 0.7, 0.75, 0.9, 1.0]), min_size=1, max_size=5, unique=True)


@given(numbers, st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True), numbers)
def test_grid_any_space_numbers_every_variant_once(widths, batch_sizes, thresholds):
    space = small_space(width=widths, batch_size=batch_sizes, exit_threshold=thresholds)
    grid = Grid(space, VOCABULARY)
    variants = [grid.variant(index) for index in range(grid.n_variants)]
    assert len(set(variants)) == len(variants) == space.n_variants(VOCABULARY)
    for index, variant in enumerate(variants):
        assert grid.index(variant) == index
        assert grid.index_of_params(grid.params(index)) == index


def test_grid_impossible_pairs_have_no_point():
    grid = Grid(small_space(), VOCABULARY)
    pairs = {(grid.variant(i)["runtime"], grid.variant(i)["quantization"]) for i in range(grid.n_variants)}
    assert ("eager", "static_int8") not in pairs
    assert len(pairs) == 5
    assert grid.index(Variant(runtime="eager", quantization="static_int8")) is None


def test_grid_equal_steps_become_ranges_and_others_positions():
    space = small_space(
        width=(0.25, 0.5, 1.0), pruning_ratio=(0.0, 0.1, 0.2, 0.3), batch_size=(1, 3, 5), exit_threshold=(0.5, 0.55)
    )
    distributions = Grid(space, VOCABULARY).distributions
    assert distributions["width_index"] == IntDistribution(0, 2)
    assert distributions["pruning_ratio"] == FloatDistribution(0.0, 0.3, step=0.1)
    assert distributions["exit_threshold"] == FloatDistribution(0.5, 0.55, step=0.05)
    assert distributions["batch_size"] == IntDistribution(1, 5, step=2)
    assert isinstance(distributions["execution"], CategoricalDistribution)
    assert "threads" not in distributions


def test_grid_per_stage_widths_that_are_a_product_get_one_axis_a_stage():
    widths = [(a, b) for a in (0.5, 1.0) for b in (0.25, 0.5, 0.75)]
    grid = Grid(small_space(width=widths), VOCABULARY)
    assert [axis.name for axis in grid.axes][:2] == ["width_1", "width_2"]
    variants = [grid.variant(index) for index in range(grid.n_variants)]
    assert {variant["width"] for variant in variants} == {0.5 if width == (0.5, 0.5) else width for width in widths}
    assert [grid.index(variant) for variant in variants] == list(range(grid.n_variants))


def test_grid_per_stage_widths_that_are_no_product_are_a_choice():
    grid = Grid(small_space(width=[(0.5, 1.0), (1.0, 0.5), (0.5, 0.5), 1.0, (1.0, 1.0)]), VOCABULARY)
    assert isinstance(grid.distributions["width"], CategoricalDistribution)
    assert grid.sizes[0] == 4  # 1.0 and (1.0, 1.0) are the same
    assert all(grid.index(grid.variant(i)) == i for i in range(grid.n_variants))


def test_grid_fixed_space_has_one_variant_and_no_axis():
    space = small_space(width=(1.0,), pruning_ratio=(0.0,), quantization=("none",), runtime=("eager",))
    grid = Grid(space, VOCABULARY)
    assert (grid.n_variants, grid.axes, grid.variant(0)) == (1, (), Variant())


def test_grid_huge_space_is_numbered_without_being_listed():
    space = small_space(
        width=[i / 1000 for i in range(1, 1001)],
        pruning_ratio=[i / 1000 for i in range(900)],
        batch_size=range(1, 65),
    )
    grid = Grid(space, VOCABULARY)
    assert grid.n_variants == 1000 * 900 * 64 * 5
    assert grid.index(grid.variant(grid.n_variants - 1)) == grid.n_variants - 1


@pytest.mark.parametrize("index", [0, 33, 79])
def test_neighbors_differ_on_one_axis_by_one_level(index):
    grid = Grid(small_space(), VOCABULARY)
    for near in grid.neighbors(index):
        steps = [abs(a - b) for a, b in zip(grid.levels(index), grid.levels(near), strict=True)]
        assert sum(step > 0 for step in steps) == 1
        assert all(step <= 1 for step, axis in zip(steps, grid.axes, strict=True) if axis.name != "execution")
    assert len(set(grid.neighbors(index))) == len(grid.neighbors(index))
