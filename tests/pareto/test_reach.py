import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.pareto.front import front_mask
from explorer.pareto.reach import may_belong, optimistic

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
