import pytest
from fakes import GAP

from explorer.metrics import Objective
from explorer.records import Measurement
from explorer.study.front import front_view
from explorer.views.points import (
    TRIAL_AXIS,
    axis_directions,
    axis_label,
    is_wide_span,
    measured_points,
    staircase,
    usual_axes,
)


def test_measured_points_value_is_a_metric_or_the_trials_number(makers):
    result = makers.make_result([makers.make_trial(7, {"accuracy": 0.9, "energy_mj": Measurement.unknown("why")})])
    (point,) = measured_points(front_view(result))
    values = [point.value(axis) for axis in ("accuracy", "energy_mj", "latency_ms", TRIAL_AXIS)]
    assert values == [0.9, None, None, 7.0]


def test_measured_points_failed_trial_has_no_place(makers):
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    assert measured_points(front_view(result)) == ()


def test_measured_points_of_a_confirmed_front_have_group_probability_and_ties(makers):
    result = makers.make_near_result()
    points = {point.trial: point for point in measured_points(front_view(result))}
    groups = {trial: point.group for trial, point in points.items()}
    assert groups == {0: "feasible", 1: "near", 2: "front", 3: "invalid", 4: "infeasible"}
    assert (points[1].ties, points[2].ties) == ((2,), (1,))
    assert points[1].probability == pytest.approx(1 - points[2].probability)
    assert points[3].reason == GAP.sentence
    assert points[2].value("latency_ms") == 0.99
    assert [trial for trial, point in points.items() if point.is_candidate] == [0, 1, 2]


def test_staircase_is_the_front_of_two_axes_without_infeasible_trials(makers):
    result = makers.make_small_result()
    points, directions = measured_points(front_view(result)), axis_directions(result)
    assert staircase(points, "latency_ms", "accuracy", directions) == (2, 1, 0)
    assert staircase(points, "peak_memory_mib", "latency_ms", directions) == (2,)


def test_staircase_of_one_objective_is_the_record_so_far(makers):
    objectives = [Objective("accuracy", "maximize")]
    trials = [makers.make_trial(n, {"accuracy": value}) for n, value in enumerate((0.5, 0.4, 0.7, 0.6, 0.8))]
    result = makers.make_result(trials, makers.make_space(objectives=objectives))
    points = measured_points(front_view(result))
    assert staircase(points, TRIAL_AXIS, "accuracy", axis_directions(result)) == (0, 2, 4)


@pytest.mark.parametrize(
    ("values", "is_wide"),
    [([1.0, 20.0], True), ([1.0, 2.0], False), ([0.0, 20.0], False), ([None], False), ([], False)],
)
def test_is_wide_span_needs_positive_values_far_apart(values, is_wide):
    assert is_wide_span(values) is is_wide


def test_axis_labels_have_units():
    assert axis_label("cost_usd_per_million") == "cost [$ per million]"
    assert axis_label("trial") == "trial"


@pytest.mark.parametrize(
    ("metrics", "axes"),
    [
        (("latency_ms", "cost_usd_per_million", "accuracy"), ("latency_ms", "accuracy", "cost_usd_per_million")),
        (("accuracy",), ("trial", "accuracy", None)),
        (("energy_mj", "cold_start_ms"), ("cold_start_ms", "energy_mj", None)),
    ],
)
def test_usual_axes_are_latency_and_the_main_quality_metric_where_there_are_such_objectives(makers, metrics, axes):
    space = makers.make_space(objectives=[Objective(name, "minimize") for name in metrics])
    assert usual_axes(makers.make_result([], space)) == axes
