import json

import pytest
from fakes import GAP

from explorer.study.front import front_view
from explorer.views.trial_info import trial_info


def test_trial_info_is_json_and_whole(makers):
    result = makers.make_seeded_result(12)
    summary = front_view(result)
    for trial in result.trials:
        info = json.loads(json.dumps(trial_info(summary, trial), allow_nan=False))
        assert info["trial"] == trial.number
        assert info["on_front"] == any(entry.trial is trial for entry in summary.entries)
    unknown = trial_info(summary, result.trials[0])["metrics"]["latency_p99_ms"]
    assert unknown == {"value": None, "why": "p99 needs 662 queries, 400 were taken"}


def test_trial_info_of_the_baseline_has_what_guessing_gives(makers):
    result = makers.make_small_result(provenance={"references": makers.references(0.1, "cat", 0.92)})
    baseline, other = (trial_info(front_view(result), result.trials[number]) for number in (0, 1))
    assert (baseline["guessing"]["chance"], baseline["guessing"]["majority_class"]) == (0.1, 0.92)
    assert len(baseline["warnings"]) == 1
    assert "guessing" not in other


def test_trial_info_violation_that_is_not_known_is_none(makers):
    result = makers.make_result([makers.make_trial(0, {}, violations={"energy_mj <= 1": float("inf")})])
    assert trial_info(front_view(result), result.trials[0])["violations"] == {"energy_mj <= 1": None}


def test_trial_info_has_what_the_confirmation_found(makers):
    result = makers.make_near_result()
    summary = front_view(result)
    found = [trial_info(summary, trial)["confirmed"] for trial in result.trials]
    assert [found[1]["near"], found[2]["near"]] == [True, False]
    assert (found[1]["ties"], found[1]["rounds"], found[1]["why"]) == ([2], 5, None)
    assert found[2]["metrics"]["latency_ms"]["value"] == 0.99
    assert found[2]["test_accuracy"]["value"] == pytest.approx(0.89)
    assert found[3] is found[4] is None
    assert trial_info(summary, result.trial(3))["invalid"] == [GAP.sentence]
    assert trial_info(front_view(result, is_search=True), result.trial(1))["confirmed"] is None


def test_trial_info_finalist_that_is_not_confirmed_has_no_values_and_a_reason(makers):
    result = makers.make_confirmed(makers.make_small_result(), invalid=[2])
    found = trial_info(front_view(result), result.trial(2))["confirmed"]
    assert (found["metrics"], found["feasible"], found["probability"]) == (None, False, None)
    assert "5 of 5 rounds" in found["why"]
