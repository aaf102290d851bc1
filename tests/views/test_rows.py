import json

import pytest

from explorer.study.front import front_summary
from explorer.views.rows import front_table, shown_metrics, trial_info, varying_parameters
from explorer.views.wording import Glyphs


def test_varying_parameters_leaves_out_what_is_fixed_as_in_the_baseline(makers):
    space = makers.make_space(width=(1.0,), runtime=("onnxruntime",))
    assert varying_parameters(space) == ("pruning_ratio", "quantization", "runtime", "exit_threshold")


def test_shown_metrics_are_the_objectives_and_the_usual_ones_that_exist(makers):
    assert shown_metrics(makers.make_small_result()) == (
        "accuracy",
        "latency_ms",
        "cost_usd_per_million",
        "peak_memory_mib",
    )


def test_front_table_has_values_and_gains_over_the_baseline(makers):
    result = makers.make_small_result()
    table = front_table(result, front_summary(result), Glyphs())
    assert [(row.trial, row.is_knee, row.is_baseline) for row in table.rows] == [
        (0, False, True),
        (1, True, False),
        (2, False, False),
    ]
    latency = table.rows[1].cells[1]
    assert (latency.value, latency.text, latency.gain, latency.is_better) == (1.0, "1.00", "3.0×", True)
    assert table.rows[1].cells[0].gain == "−2.00"
    assert [cell.gain for cell in table.baseline.cells] == [""] * 4


def test_front_table_without_baseline_has_no_gains(makers):
    row = {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.1}
    result = makers.make_result([makers.make_trial(0, reason="no memory"), makers.make_trial(1, row)])
    table = front_table(result, front_summary(result), Glyphs())
    assert table.baseline is None
    assert [cell.gain for cell in table.rows[0].cells] == [""] * 3


def test_trial_info_is_json_and_whole(makers):
    result = makers.make_seeded_result(12)
    summary = front_summary(result)
    for trial in result.trials:
        info = json.loads(json.dumps(trial_info(result, trial, summary), allow_nan=False))
        assert info["trial"] == trial.number
        assert info["on_front"] == any(entry.trial is trial for entry in summary.entries)
    unknown = trial_info(result, result.trials[0], summary)["metrics"]["latency_p99_ms"]
    assert unknown == {"value": None, "why": "p99 needs 662 queries, 400 were taken"}


def test_trial_info_violation_that_is_not_known_is_none(makers):
    result = makers.make_result([makers.make_trial(0, {}, violations={"energy_mj <= 1": float("inf")})])
    assert trial_info(result, result.trials[0], front_summary(result))["violations"] == {"energy_mj <= 1": None}


def test_trial_info_has_what_the_confirmation_found(makers):
    result = makers.make_near_result()
    summary = front_summary(result)
    found = [trial_info(result, trial, summary)["confirmed"] for trial in result.trials]
    assert [found[1]["near"], found[2]["near"]] == [True, False]
    assert (found[1]["ties"], found[1]["rounds"], found[1]["why"]) == ([2], 5, None)
    assert found[2]["metrics"]["latency_ms"]["value"] == 0.99
    assert found[2]["test_accuracy"]["value"] == pytest.approx(0.89)
    assert found[3] is found[4] is None
    assert trial_info(result, result.trial(3), summary)["invalid"] == ["a gap in the clock"]
    assert trial_info(result, result.trial(1), front_summary(result, is_search=True))["confirmed"] is None


def test_trial_info_finalist_that_is_not_confirmed_has_no_values_and_a_reason(makers):
    result = makers.make_confirmed(makers.make_small_result(), invalid=[2])
    found = trial_info(result, result.trial(2), front_summary(result))["confirmed"]
    assert (found["metrics"], found["feasible"], found["probability"]) == (None, False, None)
    assert "5 of 5 rounds" in found["why"]
