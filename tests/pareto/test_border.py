import numpy as np
import pytest

from explorer.pareto.border import minimized, signs


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
