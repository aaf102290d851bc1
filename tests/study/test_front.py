import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import GAP

from explorer.errors import UsageError
from explorer.metrics import Constraint, Objective
from explorer.study import front
from explorer.study.confirm.confirmed_values import confirmed_samples
from explorer.study.front import front_view, memberships

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))


def numbers(summary):
    return [entry.trial.number for entry in summary.entries]


def test_front_view_small_study_has_the_feasible_front_best_accuracy_first():
    summary = front_view(makers.make_small_result())
    assert numbers(summary) == [0, 1, 2]
    assert summary.knee.trial.number == 1
    assert (summary.counts["complete"], summary.counts["infeasible"], summary.counts["failed"]) == (4, 1, 1)


def test_front_view_hypervolume_is_the_union_up_to_the_reference():
    trials = [makers.make_trial(0, {"accuracy": 0.6, "latency_ms": 2.0})]
    space = makers.make_space(objectives=[Objective("accuracy", "maximize"), Objective("latency_ms", "minimize")])
    result = makers.make_result(trials, space, reference_point={"accuracy": 0.1, "latency_ms": 2.2})
    summary = front_view(result)
    assert summary.hypervolume == pytest.approx(0.5 * 0.2)
    assert summary.hypervolume_ratio == pytest.approx(0.5 * 0.2 / (0.9 * 2.2))


def test_front_view_without_reference_has_no_hypervolume():
    summary = front_view(replace(makers.make_small_result(), reference_point=None))
    assert (summary.hypervolume, summary.hypervolume_ratio) == (None, None)
    assert numbers(summary) == [0, 1, 2]


def test_front_view_unbounded_objective_has_no_ratio():
    space = makers.make_space(objectives=[Objective("throughput_per_s", "maximize")])
    trials = [makers.make_trial(0, {"throughput_per_s": 50.0})]
    summary = front_view(makers.make_result(trials, space, reference_point={"throughput_per_s": 0.0}))
    assert (summary.hypervolume, summary.hypervolume_ratio) == (50.0, None)


def test_front_view_where_narrows_before_the_front_is_taken():
    result = makers.make_small_result()
    assert numbers(front_view(result, [Constraint("latency_ms", "<=", 0.9)])) == [2]
    assert numbers(front_view(result, [Constraint("accuracy", ">=", 0.9, is_relative=True)])) == [0, 1]


def test_front_view_where_on_an_unknown_metric_is_empty():
    summary = front_view(makers.make_small_result(), [Constraint("energy_mj", "<=", 1.0)])
    assert (summary.entries, summary.knee, summary.hypervolume) == ((), None, 0.0)


def test_front_view_relative_where_without_baseline_is_refused():
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    with_trial = replace(result, trials=(*result.trials, *makers.make_small_result().trials[1:2]))
    with pytest.raises(UsageError, match=r"`latency_ms <= 0.5 \* baseline` needs the baseline's latency_ms"):
        front_view(with_trial, [Constraint("latency_ms", "<=", 0.5, is_relative=True)])


def test_front_view_no_trials_is_empty():
    summary = front_view(makers.make_result())
    assert (summary.entries, summary.counts["complete"]) == ((), 0)


def test_front_view_ties_are_all_kept_by_number():
    row = {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.1}
    summary = front_view(makers.make_result([makers.make_trial(n, row) for n in (0, 2, 1)]))
    assert numbers(summary) == [0, 1, 2]
    assert sum(entry.is_knee for entry in summary.entries) == 1


def test_front_view_json_is_what_the_interface_promises():
    answer = json.loads(json.dumps(front_view(makers.make_small_result()).to_json(), allow_nan=False))
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
        "baseline",
        "warnings",
    ]
    assert (answer["confirmed"], answer["near"], answer["unconfirmed"]) == (False, [], [])
    assert (answer["unlikely"], answer["left_out"], answer["warnings"]) == ([], [], [])
    assert answer["objectives"][0] == {"metric": "accuracy", "direction": "maximize"}
    assert answer["trials"] == {"complete": 4, "infeasible": 1, "failed": 1, "invalid": 0}
    knee = answer["front"][1]
    assert (knee["trial"], knee["knee"], knee["feasible"], knee["valid"]) == (1, True, True, True)
    assert (knee["probability"], knee["ties"], knee["test_accuracy"]) == (None, [], None)
    assert knee["variant"]["width"] == 0.75
    assert knee["metrics"]["latency_ms"] == {"value": 1.0, "low": None, "high": None, "n": None}
    assert knee["ratio_to_baseline"]["latency_ms"] == pytest.approx(1 / 3)


def test_front_view_json_has_a_place_for_every_finalist_and_for_those_left_out():
    result = makers.make_near_result()
    result = replace(result, confirmation=replace(result.confirmation, left_out=(1, 4)))
    answer = front_view(result).to_json()
    assert [one["trial"] for one in answer["front"]] == [2]
    assert [one["trial"] for one in answer["near"]] == [1]
    assert answer["unlikely"] == [{"trial": 0, "probability": 0.0}]
    assert answer["left_out"] == [1, 4]
    assert front_view(result, [Constraint("latency_ms", "<=", 0.5)]).left_out == ()
    assert front_view(result, is_search=True).to_json()["left_out"] == []


def with_invalid(number):
    """The small study, whose trial of that number has no valid measurement."""
    result = makers.make_small_result()
    trials = [
        replace(t, state="invalid", outcome=replace(t.outcome, reasons=(GAP,))) if t.number == number else t
        for t in result.trials
    ]
    return replace(result, trials=tuple(trials))


def test_front_view_invalid_trial_is_off_the_front_unless_allowed():
    result = with_invalid(1)
    assert numbers(front_view(result)) == [0, 3, 2]
    assert front_view(result).counts["invalid"] == 1
    allowed = front_view(result, allow_invalid=True)
    assert numbers(allowed) == [0, 1, 2]
    told = allowed.to_json()["front"][1]
    assert (told["valid"], told["invalid"], told["feasible"]) == (False, [GAP.sentence], True)


def test_front_view_invalid_trial_that_breaks_a_bound_is_never_allowed():
    result = makers.make_small_result()
    broken = replace(result.trials[4], state="invalid")
    result = replace(result, trials=(*result.trials[:4], broken))
    assert numbers(front_view(result, allow_invalid=True)) == [0, 1, 2]


def test_front_view_without_a_confirmation_is_the_study():
    result = makers.make_small_result()
    view = front_view(result)
    assert view.searched is view.result is result
    assert not view.is_confirmed
    assert view.candidates == {0, 1, 2, 3}


def test_front_view_finalists_have_confirmed_values_and_others_the_searchs():
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}}, finalists=[0, 1, 2])
    view = front_view(result)
    assert view.searched is result
    assert view.confirmed == {0, 1, 2} == view.candidates
    assert view.n_rounds == 5
    latencies = {trial.number: trial.values().get("latency_ms") for trial in view.result.trials}
    assert latencies == {0: 3.0, 1: 1.2, 2: 0.5, 3: 2.0, 4: 0.1, 5: None}


def test_front_view_standings_are_what_the_front_says():
    noisy = (0.99, 1.3, 0.99, 1.4, 0.99)
    values = {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.02}
    trials = [makers.make_trial(n, values) for n in range(3)]
    result = makers.make_confirmed(makers.make_result(trials), {0: {"latency_ms": 9.0}, 2: {"latency_ms": noisy}})
    view = front_view(result)
    assert [entry.trial.number for entry in view.near] == [1]
    assert {n: one.probability for n, one in view.standings.items()} == memberships(result)
    assert (view.standings[1].is_near, view.standings[1].ties, view.standings[2].ties) == (True, (2,), (1,))
    assert view.standings[0].test_accuracy.value == 0.89


def test_front_view_finalist_that_could_not_be_confirmed_keeps_the_searchs_values_and_says_why():
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}}, invalid=[1])
    view = front_view(result)
    assert 1 not in view.confirmed | view.candidates
    assert view.result.trial(1) == result.trial(1)
    assert "5 of 5 rounds gave no valid measurement" in view.standings[1].why
    assert view.standings[1].probability is None


def test_front_view_confirmed_values_that_break_a_constraint_are_infeasible():
    result = makers.make_confirmed(makers.make_small_result(), {1: {"peak_memory_mib": 1200.0}})
    view = front_view(result)
    assert view.result.trial(1).state == "infeasible"
    assert 1 in view.confirmed - view.candidates
    assert "its confirmed values break `peak_memory_mib <= 1000`" in view.standings[1].why


def test_front_view_unconfirmed_baseline_keeps_the_searchs_values():
    result = makers.make_confirmed(makers.make_small_result(), {0: {"latency_ms": 9.0}}, invalid=[0])
    assert front_view(result).result.trial(0) == result.trial(0)


def test_front_view_of_a_stale_confirmation_is_the_searchs():
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}})
    more = replace(result, trials=(*result.trials, makers.make_trial(6, reason="gone")))
    view = front_view(more)
    assert view.result is more
    assert (view.is_stale, view.is_confirmed, view.standings) == (True, False, {})


def test_front_view_of_the_searchs_front_is_the_searchs():
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}})
    view = front_view(result, is_search=True)
    assert view.result is result
    assert (view.is_confirmed, view.standings) == (False, {})


def test_front_view_within_limits_has_the_standings_and_the_bootstrap_samples_of_the_whole(monkeypatch):
    result = makers.make_near_result()
    whole, calls = front_view(result), []
    monkeypatch.setattr(front, "confirmed_samples", lambda *arguments: calls.append(1) or confirmed_samples(*arguments))
    narrow = whole.within([Constraint("latency_ms", "<=", 1.1)])
    assert narrow == front_view(result, [Constraint("latency_ms", "<=", 1.1)])
    assert set(narrow.numbers) < {trial.number for trial in result.trials}
    assert narrow.standings == whole.standings
    assert len(calls) == 1 + 1
