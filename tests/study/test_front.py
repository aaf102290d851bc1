import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.errors import UsageError
from explorer.objectives import Constraint, Objective
from explorer.study.front import front_summary

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))


def numbers(summary):
    return [entry.trial.number for entry in summary.entries]


def test_front_summary_small_study_has_the_feasible_front_best_accuracy_first():
    summary = front_summary(makers.make_small_result())
    assert numbers(summary) == [0, 1, 2]
    assert summary.knee.trial.number == 1
    assert (summary.n_complete, summary.n_infeasible, summary.n_failed) == (4, 1, 1)


def test_front_summary_hypervolume_is_the_union_up_to_the_reference():
    trials = [makers.make_trial(0, {"accuracy": 0.6, "latency_ms": 2.0})]
    space = makers.make_space(objectives=[Objective("accuracy", "maximize"), Objective("latency_ms", "minimize")])
    result = makers.make_result(trials, space, reference_point={"accuracy": 0.1, "latency_ms": 2.2})
    summary = front_summary(result)
    assert summary.hypervolume == pytest.approx(0.5 * 0.2)
    assert summary.hypervolume_ratio == pytest.approx(0.5 * 0.2 / (0.9 * 2.2))


def test_front_summary_without_reference_has_no_hypervolume():
    summary = front_summary(replace(makers.make_small_result(), reference_point=None))
    assert (summary.hypervolume, summary.hypervolume_ratio) == (None, None)
    assert numbers(summary) == [0, 1, 2]


def test_front_summary_unbounded_objective_has_no_ratio():
    space = makers.make_space(objectives=[Objective("throughput_per_s", "maximize")])
    trials = [makers.make_trial(0, {"throughput_per_s": 50.0})]
    summary = front_summary(makers.make_result(trials, space, reference_point={"throughput_per_s": 0.0}))
    assert (summary.hypervolume, summary.hypervolume_ratio) == (50.0, None)


def test_front_summary_where_narrows_before_the_front_is_taken():
    result = makers.make_small_result()
    assert numbers(front_summary(result, [Constraint("latency_ms", "<=", 0.9)])) == [2]
    assert numbers(front_summary(result, [Constraint("accuracy", ">=", 0.9, is_relative=True)])) == [0, 1]


def test_front_summary_where_on_an_unknown_metric_is_empty():
    summary = front_summary(makers.make_small_result(), [Constraint("energy_mj", "<=", 1.0)])
    assert (summary.entries, summary.knee, summary.hypervolume) == ((), None, 0.0)


def test_front_summary_relative_where_without_baseline_is_refused():
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    with_trial = replace(result, trials=(*result.trials, *makers.make_small_result().trials[1:2]))
    with pytest.raises(UsageError, match=r"`latency_ms <= 0.5 \* baseline` needs the baseline's latency_ms"):
        front_summary(with_trial, [Constraint("latency_ms", "<=", 0.5, is_relative=True)])


def test_front_summary_no_trials_is_empty():
    summary = front_summary(makers.make_result())
    assert (summary.entries, summary.n_complete) == ((), 0)


def test_front_summary_ties_are_all_kept_by_number():
    row = {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.1}
    summary = front_summary(makers.make_result([makers.make_trial(n, row) for n in (0, 2, 1)]))
    assert numbers(summary) == [0, 1, 2]
    assert sum(entry.is_knee for entry in summary.entries) == 1


def test_front_summary_json_is_what_the_interface_promises():
    answer = json.loads(json.dumps(front_summary(makers.make_small_result()).to_json(), allow_nan=False))
    assert list(answer) == [
        "study",
        "objectives",
        "reference_point",
        "hypervolume",
        "trials",
        "confirmed",
        "front",
        "near",
        "unconfirmed",
        "unlikely",
        "left_out",
    ]
    assert (answer["confirmed"], answer["near"], answer["unconfirmed"]) == (False, [], [])
    assert (answer["unlikely"], answer["left_out"]) == ([], [])
    assert answer["objectives"][0] == {"metric": "accuracy", "direction": "maximize"}
    assert answer["trials"] == {"complete": 4, "infeasible": 1, "failed": 1, "invalid": 0}
    knee = answer["front"][1]
    assert (knee["trial"], knee["knee"], knee["feasible"], knee["valid"]) == (1, True, True, True)
    assert (knee["probability"], knee["ties"], knee["test_accuracy"]) == (None, [], None)
    assert knee["variant"]["width"] == 0.75
    assert knee["metrics"]["latency_ms"] == {"value": 1.0, "low": None, "high": None, "n": None}
    assert knee["ratio_to_baseline"]["latency_ms"] == pytest.approx(1 / 3)


def test_front_summary_json_has_a_place_for_every_finalist_and_for_those_left_out():
    result = makers.make_near_result()
    result = replace(result, confirmation=replace(result.confirmation, left_out=(1, 4)))
    answer = front_summary(result).to_json()
    assert [one["trial"] for one in answer["front"]] == [2]
    assert [one["trial"] for one in answer["near"]] == [1]
    assert answer["unlikely"] == [{"trial": 0, "probability": 0.0}]
    assert answer["left_out"] == [1, 4]
    assert front_summary(result, [Constraint("latency_ms", "<=", 0.5)]).left_out == ()
    assert front_summary(result, is_search=True).to_json()["left_out"] == []


def with_invalid(number):
    """The small study, whose trial of that number has no valid measurement."""
    result = makers.make_small_result()
    trials = [
        replace(t, state="invalid", outcome=replace(t.outcome, invalid=("a gap in the clock",)))
        if t.number == number
        else t
        for t in result.trials
    ]
    return replace(result, trials=tuple(trials))


def test_front_summary_invalid_trial_is_off_the_front_unless_allowed():
    result = with_invalid(1)
    assert numbers(front_summary(result)) == [0, 3, 2]
    assert front_summary(result).n_invalid == 1
    allowed = front_summary(result, allow_invalid=True)
    assert numbers(allowed) == [0, 1, 2]
    told = allowed.to_json()["front"][1]
    assert (told["valid"], told["invalid"], told["feasible"]) == (False, ["a gap in the clock"], True)


def test_front_summary_invalid_trial_that_breaks_a_bound_is_never_allowed():
    result = makers.make_small_result()
    broken = replace(result.trials[4], state="invalid")
    result = replace(result, trials=(*result.trials[:4], broken))
    assert numbers(front_summary(result, allow_invalid=True)) == [0, 1, 2]
