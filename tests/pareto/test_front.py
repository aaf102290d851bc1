from __future__ import annotations

import numpy as np
import pareto_oracle as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.pareto.front import front_mask, minimized, ranks, signs


def test_minimized_maximized_column_has_its_sign_turned():
    assert minimized([[1.0, 2.0]], ("maximize", "minimize")).tolist() == [[-1.0, 2.0]]


def test_minimized_no_points_gives_an_empty_array_with_columns():
    assert minimized([], ("minimize", "minimize")).shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_minimized_not_finite_is_refused_with_its_row(bad):
    with pytest.raises(ValueError, match="finite, without NaN: row 1"):
        minimized([[1.0, 2.0], [bad, 1.0]], ("minimize", "minimize"))


@pytest.mark.parametrize("points", [[1.0, 2.0], [[1.0]], [[1.0, 2.0, 3.0]], [[[1.0, 2.0]]]])
def test_minimized_wrong_shape_is_refused(points):
    with pytest.raises(ValueError, match=r"shape \[n, 2\]"):
        minimized(points, ("minimize", "minimize"))


@pytest.mark.parametrize("directions", [(), ("minimize", "up")])
def test_signs_unknown_direction_is_refused(directions):
    with pytest.raises(ValueError, match="'minimize' or 'maximize'"):
        signs(directions)


def test_minimized_leaves_its_input_alone():
    points = np.array([[1.0, 2.0]])
    minimized(points, ("maximize", "maximize"))
    assert points.tolist() == [[1.0, 2.0]]


def test_front_mask_known_set_keeps_what_nothing_dominates():
    points = [[0.9, 3.0], [0.8, 1.0], [0.7, 2.0], [0.6, 0.5]]
    assert front_mask(points, ("maximize", "minimize")).tolist() == [True, True, False, True]


def test_front_mask_duplicates_are_all_kept():
    assert front_mask([[1, 1], [0, 2], [1, 1], [2, 2]], ("minimize", "minimize")).tolist() == [True, True, True, False]


def test_front_mask_tie_in_one_objective_keeps_the_better_in_the_other():
    assert front_mask([[1, 1], [1, 2]], ("minimize", "minimize")).tolist() == [True, False]


def test_front_mask_no_points_is_empty():
    assert front_mask([], ("minimize", "maximize")).shape == (0,)


def test_front_mask_one_point_is_the_front():
    assert front_mask([[5.0]], ("maximize",)).tolist() == [True]


def test_front_mask_one_objective_keeps_every_best():
    assert front_mask([[3], [1], [3]], ("maximize",)).tolist() == [True, False, True]


def test_front_mask_nan_is_refused():
    with pytest.raises(ValueError, match="without NaN"):
        front_mask([[np.nan, 1.0]], ("minimize", "minimize"))


def test_ranks_chain_counts_up():
    assert ranks([[3, 3], [1, 1], [2, 2], [1, 1]], ("minimize", "minimize")).tolist() == [2, 0, 1, 0]


@settings(max_examples=150, deadline=None)
@given(oracle.tied_points())
def test_front_mask_any_set_equals_brute_force(case):
    points, directions = case
    assert front_mask(points, directions).tolist() == oracle.front(points, directions)


@settings(max_examples=100, deadline=None)
@given(oracle.tied_points())
def test_ranks_any_set_equals_peeling(case):
    points, directions = case
    assert ranks(points, directions).tolist() == oracle.ranks(points, directions)


@settings(max_examples=60, deadline=None)
@given(oracle.tied_points(), st.randoms(use_true_random=False))
def test_front_mask_order_and_increasing_maps_do_not_matter(case, random):
    points, directions = case
    order = list(range(len(points)))
    random.shuffle(order)
    stretched = [[v**3 * 2.5 + 7 for v in points[i]] for i in order]
    assert front_mask(stretched, directions).tolist() == [front_mask(points, directions).tolist()[i] for i in order]
