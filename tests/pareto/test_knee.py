import numpy as np
import pareto_oracle as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.pareto.front import knee_index, normalized_front

MINIMIZE = ("minimize", "minimize")


def test_knee_index_elbow_is_found():
    assert knee_index([[0, 10], [1, 1], [10, 0]], MINIMIZE) == 1


def test_knee_index_known_curve_has_its_knee_where_the_slope_is_the_chord():
    x = np.linspace(0.1, 10, 991)
    index = knee_index(np.column_stack([x, 1 / x]), MINIMIZE)
    assert x[index] == pytest.approx(1.0)


def test_knee_index_mixed_directions_turn_the_sign():
    assert knee_index([[0.95, 9.0], [0.93, 1.0], [0.5, 0.5]], ("maximize", "minimize")) == 1


def test_knee_index_no_points_is_none():
    assert knee_index([], MINIMIZE) is None


def test_knee_index_one_point_is_the_knee():
    assert knee_index([[3, 4]], MINIMIZE) == 0


def test_knee_index_two_points_goes_to_the_better_first_objective():
    assert knee_index([[2, 1], [1, 2]], MINIMIZE) == 1
    assert knee_index([[1, 2], [2, 1]], MINIMIZE) == 0


def test_knee_index_straight_front_prefers_the_balanced_point():
    assert knee_index([[0, 4], [1, 3], [2, 2], [4, 0]], MINIMIZE) == 2


def test_knee_index_constant_objective_is_ignored():
    assert knee_index([[0, 10, 5], [1, 1, 5], [10, 0, 5]], ("minimize",) * 3) == 1


def test_knee_index_duplicates_take_the_first():
    assert knee_index([[1, 1], [0, 10], [1, 1], [10, 0]], MINIMIZE) == 0


def test_knee_index_dominated_points_neither_win_nor_stretch_the_front():
    front = [[0, 10], [2, 2], [10, 0]]
    assert knee_index([*front, [1000, 1000], [2, 3]], MINIMIZE) == knee_index(front, MINIMIZE)


def test_knee_index_infinity_is_refused():
    with pytest.raises(ValueError, match="finite"):
        knee_index([[0, np.inf]], MINIMIZE)


def test_normalized_front_lies_between_ideal_and_nadir():
    front = normalized_front([[0.9, 4.0], [0.7, 2.0], [0.5, 1.0]], ("maximize", "minimize"))
    np.testing.assert_allclose(front, [[0, 1], [0.5, 1 / 3], [1, 0]])


@settings(max_examples=100, deadline=None)
@given(oracle.tied_points(), st.randoms(use_true_random=False))
def test_knee_index_order_and_units_do_not_matter(case, random):
    points, directions = case
    order = list(range(len(points)))
    random.shuffle(order)
    moved = [[v * 1000.0 * (k + 1) + k for k, v in enumerate(points[i])] for i in order]
    knee, other = knee_index(points, directions), knee_index(moved, directions)
    assert (knee is None) == (other is None)
    if knee is not None:
        assert points[order[other]] == points[knee]
        assert oracle.front(points, directions)[knee]
