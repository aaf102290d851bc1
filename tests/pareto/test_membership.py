from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.pareto.front import front_mask
from explorer.pareto.membership import may_belong, membership, optimistic, ties

BOTH = ("maximize", "minimize")
GRID = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8)


def test_optimistic_takes_the_better_end_and_the_value_where_it_is_missing():
    corner = optimistic([0.9, 2.0], [0.8, np.nan], [0.95, 3.0], BOTH)
    assert corner.tolist() == [0.95, 2.0]


def test_may_belong_dominated_corner_does_not_and_an_equal_one_does():
    others = [[0.9, 1.0]]
    corners = [[0.9, 1.1], [0.8, 1.0], [0.9, 1.0], [0.95, 5.0]]
    assert may_belong(corners, others, BOTH).tolist() == [False, False, True, True]


def test_may_belong_without_others_is_true():
    assert may_belong([[0.1, 9.0]], [], BOTH).tolist() == [True]


@given(GRID)
def test_may_belong_points_without_intervals_are_the_front(rows):
    points = np.array(rows, dtype=np.float64)
    assert may_belong(points, points, BOTH).tolist() == front_mask(points, BOTH).tolist()


def test_may_belong_nan_is_refused():
    with pytest.raises(ValueError, match="points must be finite"):
        may_belong([[np.nan, 1.0]], [[1.0, 1.0]], BOTH)


DOWN = ("minimize", "minimize")


def normal(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0, 2.0])
def test_membership_of_two_gaussians_is_the_closed_form(gap):
    generator = np.random.default_rng(0)
    samples = np.zeros((20_000, 2, 2))
    samples[:, :, 0] = generator.normal([0.0, gap], 1.0, (20_000, 2))
    expected = normal(gap / math.sqrt(2))
    # The second objective is equal: the faster one alone is on the front.
    assert membership(samples, DOWN) == pytest.approx([expected, 1 - expected], abs=0.015)


def test_membership_noise_in_common_cancels():
    samples = np.random.default_rng(0).normal(0, 10, (500, 1, 1)) + np.array([[[1.0], [1.1]]])
    assert membership(samples, ("minimize",)).tolist() == [1.0, 0.0]


def test_membership_equal_points_belong_both():
    assert membership(np.ones((10, 3, 2)), DOWN).tolist() == [1.0, 1.0, 1.0]


@given(GRID)
def test_membership_without_uncertainty_is_the_front(rows):
    points = np.array(rows, dtype=np.float64)
    assert membership(np.stack([points, points]), DOWN).tolist() == front_mask(points, DOWN).astype(float).tolist()


def test_membership_point_that_is_not_allowed_is_none_and_dominates_none():
    samples = np.tile(np.array([[0.0, 0.0], [1.0, 1.0]]), (4, 1, 1))
    is_allowed = np.array([[True, True], [False, True], [True, False], [False, False]])
    assert membership(samples, DOWN, is_allowed).tolist() == [0.5, 0.25]


@pytest.mark.parametrize("samples", [np.ones((0, 2, 2)), np.ones((2, 2))])
def test_membership_without_draws_is_refused(samples):
    with pytest.raises(ValueError, match="samples must have the shape"):
        membership(samples, DOWN)
    with pytest.raises(ValueError, match="samples must have the shape"):
        ties(samples)


def test_ties_are_those_that_no_objective_tells_apart():
    generator = np.random.default_rng(0)
    samples = generator.normal(0.0, 1.0, (2000, 3, 2))
    samples[:, 2, 1] += 10.0
    assert ties(samples).tolist() == [[False, True, False], [True, False, False], [False, False, False]]


def test_ties_constant_difference_is_none():
    samples = np.random.default_rng(0).normal(0.0, 1.0, (2000, 2, 2))
    samples[:, :, 1] = [1.0, 1.0001]
    assert not ties(samples).any()
