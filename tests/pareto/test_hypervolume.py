from __future__ import annotations

import numpy as np
import pareto_oracle as oracle
import pytest
from hypothesis import given, settings

from explorer.metrics import Objective
from explorer.pareto.front import front_mask
from explorer.pareto.hypervolume import (
    Archive,
    hypervolume,
    hypervolume_ratio,
    reference_point,
)


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


ACCURACY_LATENCY = ("maximize", "minimize")


def test_hypervolume_one_point_is_its_box():
    assert hypervolume([[0.9, 2.0]], ACCURACY_LATENCY, [0.1, 10.0]) == pytest.approx(0.8 * 8.0)


def test_hypervolume_two_points_is_the_union_of_their_boxes():
    volume = hypervolume([[0.9, 4.0], [0.5, 1.0]], ACCURACY_LATENCY, [0.0, 5.0])
    assert volume == pytest.approx(0.9 * 1 + 0.5 * 4 - 0.5 * 1)


def test_hypervolume_cube_of_three_objectives_is_known():
    points = [[1, 2, 2], [2, 1, 2], [2, 2, 1]]
    assert hypervolume(points, ("minimize",) * 3, [3, 3, 3]) == pytest.approx(4.0)


def test_hypervolume_simplex_of_many_points_approaches_its_area():
    x = np.linspace(0, 1, 2001)
    assert hypervolume(np.column_stack([x, 1 - x]), ("minimize", "minimize"), [1, 1]) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("points", [[], [[0.05, 2.0]], [[0.9, 12.0]], [[0.1, 10.0]]])
def test_hypervolume_nothing_better_than_the_reference_is_zero(points):
    assert hypervolume(points, ACCURACY_LATENCY, [0.1, 10.0]) == 0.0


def test_hypervolume_infinite_reference_is_refused():
    with pytest.raises(ValueError, match="finite"):
        hypervolume([[0.5, 1.0]], ACCURACY_LATENCY, [0.0, np.inf])


@settings(max_examples=100, deadline=None)
@given(oracle.tied_points(max_points=7, max_objectives=4))
def test_hypervolume_whole_numbers_equal_counted_cells(case):
    points, directions = case
    reference = [3 if direction == "minimize" else 1 for direction in directions]
    assert hypervolume(points, directions, reference) == oracle.hypervolume(points, directions, reference)


@settings(max_examples=60, deadline=None)
@given(oracle.tied_points(max_points=8))
def test_archive_hypervolume_never_falls_and_ends_at_the_whole(case):
    points, directions = case
    reference = [3 if direction == "minimize" else 1 for direction in directions]
    archive, history = Archive(directions, reference), [0.0]
    for point in points:
        archive.add(point)
        history.append(archive.hypervolume)
    assert (np.diff(history) >= 0).all()
    assert history[-1] == hypervolume(points, directions, reference)


def test_archive_nan_is_refused():
    with pytest.raises(ValueError, match="without NaN"):
        Archive(ACCURACY_LATENCY, [0.0, 2.0]).add([np.nan, 1.0])


def test_reference_point_is_the_given_worst_zero_or_above_the_baseline():
    objectives = [
        Objective("accuracy", "maximize"),
        Objective("throughput_per_s", "maximize"),
        Objective("latency_ms", "minimize"),
    ]
    reference = reference_point({"latency_ms": 2.0, "accuracy": 0.9}, objectives, {"accuracy": 0.25})
    assert reference == pytest.approx({"accuracy": 0.25, "throughput_per_s": 0.0, "latency_ms": 2.2})


def test_reference_point_baseline_without_the_metric_is_refused():
    with pytest.raises(ValueError, match="baseline has no latency_ms"):
        reference_point({}, [Objective("latency_ms", "minimize")], {})


def test_hypervolume_ratio_is_a_share_of_a_fixed_box():
    assert hypervolume_ratio([[0.55, 1.0]], ACCURACY_LATENCY, [0.1, 2.0], [1.0, 0.0]) == pytest.approx(0.25)
    assert hypervolume_ratio([[1.0, 0.0]], ACCURACY_LATENCY, [0.1, 2.0], [1.0, 0.0]) == pytest.approx(1.0)
    assert hypervolume_ratio([[1.0, 0.0]], ACCURACY_LATENCY, [1.0, 0.0], [1.0, 0.0]) == 0.0
