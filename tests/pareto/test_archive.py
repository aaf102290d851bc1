import pareto_oracle as oracle
import pytest
from hypothesis import given, settings

from explorer.pareto.archive import Archive
from explorer.pareto.front import front_mask
from explorer.pareto.hypervolume import hypervolume


@settings(max_examples=120, deadline=None)
@given(oracle.tied_points())
def test_archive_grown_point_by_point_equals_the_whole(case):
    points, directions = case
    reference = [3.0 if direction == "minimize" else 1.0 for direction in directions]
    archive = Archive(directions, reference)
    for point in points:
        archive.add(point)
    assert archive.n_points == front_mask(points, directions).sum()
    assert archive.hypervolume == pytest.approx(hypervolume(points, directions, reference))


def test_archive_add_tells_whether_the_point_is_on_the_front():
    archive = Archive(("maximize", "minimize"), [0.0, 10.0])
    assert archive.add([0.5, 5.0])
    assert archive.add([0.5, 5.0])
    assert not archive.add([0.4, 5.0])
    assert archive.add([0.6, 4.0])
    assert archive.n_points == 1


def test_archive_nan_is_refused_and_changes_nothing():
    archive = Archive(("minimize",), [1.0])
    archive.add([0.5])
    with pytest.raises(ValueError, match="without NaN"):
        archive.add([float("nan")])
    assert (archive.n_points, archive.hypervolume) == (1, 0.5)
