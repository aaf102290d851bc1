from dataclasses import replace

from explorer.study.front import front_summary, memberships
from explorer.views.shown import Shown, confirmed_values, shown_study


def test_shown_study_without_a_confirmation_is_the_study(makers):
    result = makers.make_small_result()
    shown = shown_study(result)
    assert shown == Shown(result, result)
    assert not shown.is_confirmed
    assert shown.candidates == {0, 1, 2, 3}


def test_shown_study_finalists_have_confirmed_values_and_others_the_searchs(makers):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}}, finalists=[0, 1, 2])
    shown = shown_study(result)
    assert shown.searched is result
    assert shown.confirmed == {0, 1, 2} == shown.candidates
    assert shown.n_rounds == 5
    latencies = {trial.number: trial.values().get("latency_ms") for trial in shown.result.trials}
    assert latencies == {0: 3.0, 1: 1.2, 2: 0.5, 3: 2.0, 4: 0.1, 5: None}
    assert confirmed_values(result, front_summary(result)) == shown.result


def test_shown_study_standings_are_what_the_front_says(makers):
    noisy = (0.99, 1.3, 0.99, 1.4, 0.99)
    values = {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.02}
    trials = [makers.make_trial(n, values) for n in range(3)]
    result = makers.make_confirmed(makers.make_result(trials), {0: {"latency_ms": 9.0}, 2: {"latency_ms": noisy}})
    summary, shown = front_summary(result), shown_study(result)
    assert [entry.trial.number for entry in summary.near] == [1]
    assert {n: one.probability for n, one in shown.standings.items()} == memberships(result)
    assert (shown.standings[1].is_near, shown.standings[1].ties, shown.standings[2].ties) == (True, (2,), (1,))
    assert shown.standings[0].test_accuracy.value == 0.89


def test_shown_study_finalist_that_could_not_be_confirmed_keeps_the_searchs_values_and_says_why(makers):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}}, invalid=[1])
    shown = shown_study(result)
    assert 1 not in shown.confirmed | shown.candidates
    assert shown.result.trial(1) == result.trial(1)
    assert "5 of 5 rounds gave no valid measurement" in shown.standings[1].why
    assert shown.standings[1].probability is None


def test_shown_study_confirmed_values_that_break_a_constraint_are_infeasible(makers):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"peak_memory_mib": 1200.0}})
    shown = shown_study(result)
    assert shown.result.trial(1).state == "infeasible"
    assert 1 in shown.confirmed - shown.candidates
    assert "its confirmed values break `peak_memory_mib <= 1000`" in shown.standings[1].why


def test_shown_study_unconfirmed_baseline_keeps_the_searchs_values(makers):
    result = makers.make_confirmed(makers.make_small_result(), {0: {"latency_ms": 9.0}}, invalid=[0])
    assert shown_study(result).result.trial(0) == result.trial(0)


def test_shown_study_of_a_stale_confirmation_is_the_searchs(makers):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}})
    more = replace(result, trials=(*result.trials, makers.make_trial(6, reason="gone")))
    assert shown_study(more) == Shown(more, more)


def test_shown_study_of_the_searchs_front_is_the_searchs(makers):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 1.2}})
    assert shown_study(result, front_summary(result, is_search=True)) == Shown(result, result)
