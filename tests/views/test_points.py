import pytest

from explorer.records import Measurement, Variant
from explorer.study.front import front_summary
from explorer.views.points import TRIAL_AXIS, measured_points


def test_measured_points_hover_names_reasons_and_escapes(makers):
    variant = Variant(runtime="<img src=x onerror=alert(1)>")
    trial = makers.make_trial(0, {"accuracy": 0.9, "latency_ms": 1.0}, variant, violations={"accuracy >= 0.95": 0.05})
    result = makers.make_result([trial])
    (point,) = measured_points(result, front_summary(result))
    assert "<img" not in point.words
    assert "&lt;img src=x onerror=alert(1)&gt;" in point.words
    assert "accuracy &gt;= 0.95: broken by 5.00 %" in point.words


def test_measured_points_value_is_a_metric_or_the_trials_number(makers):
    result = makers.make_result([makers.make_trial(7, {"accuracy": 0.9, "energy_mj": Measurement.unknown("why")})])
    (point,) = measured_points(result, front_summary(result))
    values = [point.value(axis) for axis in ("accuracy", "energy_mj", "latency_ms", TRIAL_AXIS)]
    assert values == [0.9, None, None, 7.0]


def test_measured_points_failed_trial_has_no_place(makers):
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    assert measured_points(result, front_summary(result)) == ()


def test_measured_points_of_a_confirmed_front_know_their_place_probability_and_ties(makers):
    result = makers.make_near_result()
    points = {point.trial: point for point in measured_points(result, front_summary(result))}
    groups = {trial: point.group for trial, point in points.items()}
    assert groups == {0: "feasible", 1: "near", 2: "front", 3: "invalid", 4: "infeasible"}
    assert (points[1].ties, points[2].ties) == ((2,), (1,))
    assert points[1].probability == pytest.approx(1 - points[2].probability)
    assert "near the front" in points[1].words
    assert "a tie with trial 2" in points[1].words
    assert "accuracy on the test split 89.00 %" in points[1].words
    assert "not valid: a gap in the clock" in points[3].words
    assert points[3].reason == "a gap in the clock"
    assert points[2].value("latency_ms") == 0.99
    assert [trial for trial, point in points.items() if point.is_candidate] == [0, 1, 2]
