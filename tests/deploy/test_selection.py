from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import GAP

from explorer.deploy.selection import Neighbor, Selection, choose
from explorer.errors import NothingFeasible, UsageError
from explorer.records import Measurement
from explorer.space.expressions import parse_constraint
from explorer.study.confirm.confirmation import Confirmation, Finalist, Repeat
from explorer.study.front import front_view

MAKERS = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))


@pytest.fixture
def result():
    """Trials 0 to 2 are the front, 1 the knee; 3 is dominated, 4 infeasible, 5 failed; each has an artifact."""
    made = MAKERS.make_small_result()
    trials = [
        trial if trial.outcome.failure else replace(trial, outcome=replace(trial.outcome, artifact=f"a{trial.number}"))
        for trial in made.trials
    ]
    return replace(made, trials=tuple(trials))


def where(*texts):
    return tuple(parse_constraint(text) for text in texts)


def test_choose_knee_says_so_and_names_its_neighbors(result):
    choice = choose(result, Selection(is_knee=True))
    assert (choice.trial.number, choice.how, choice.is_on_front, choice.objections) == (
        1,
        "the knee of the front",
        True,
        (),
    )
    before, after = choice.neighbors
    assert (before.trial, after.trial) == (0, 2)
    assert before.differences == pytest.approx({"accuracy": 0.02, "latency_ms": 2.0, "cost_usd_per_million": 0.04})
    assert after == Neighbor(2, after.differences)
    assert after.differences["accuracy"] == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("metric", "limits", "expected"),
    [
        ("accuracy", (), 0),
        ("latency_ms", (), 2),
        ("accuracy", ("latency_ms <= 1.5",), 1),
        ("peak_memory_mib", (), 2),
        ("latency_ms", ("accuracy >= 0.85", "peak_memory_mib <= 500"), 1),
    ],
)
def test_choose_best_of_a_metric_is_the_fronts_best_within_the_limits(result, metric, limits, expected):
    choice = choose(result, Selection(best=metric, where=where(*limits)))
    assert choice.trial.number == expected
    assert choice.how == f"the best {metric} of the front" + "".join(
        f"{' and' if i else ' where'} {limit}" for i, limit in enumerate(limits)
    )


def test_choose_nothing_feasible_tells_the_nearest_misses(result):
    with pytest.raises(NothingFeasible, match=r"Nearest misses:\n  trial 2: `latency_ms <= 0.4` by 0.1 ms"):
        choose(result, Selection(best="accuracy", where=where("latency_ms <= 0.4")))


def test_choose_number_of_a_front_trial_has_no_objection(result):
    choice = choose(result, Selection(trial=2))
    assert (choice.trial.number, choice.is_on_front, choice.objections) == (2, True, ())
    assert [neighbor.trial for neighbor in choice.neighbors] == [1]


@pytest.mark.parametrize(
    ("number", "why"), [(3, "is dominated by other trials"), (4, "breaks `peak_memory_mib <= 1000`")]
)
def test_choose_number_of_a_poor_trial_needs_force_and_is_labelled(result, number, why):
    with pytest.raises(UsageError, match=f"trial {number} {why}.*--force"):
        choose(result, Selection(trial=number))
    choice = choose(result, Selection(trial=number), is_forced=True)
    assert (choice.objections, choice.is_on_front, choice.neighbors) == ((why,), False, ())


def test_choose_failed_or_unknown_trial_is_refused_even_by_force(result):
    with pytest.raises(UsageError, match=r"trial 5 failed \(signal SIGSEGV in measure\)"):
        choose(result, Selection(trial=5), is_forced=True)
    with pytest.raises(UsageError, match="no finished trial 99 in made-up"):
        choose(result, Selection(trial=99), is_forced=True)


def test_choose_metric_that_no_trial_knows_is_refused(result):
    with pytest.raises(UsageError, match="no trial of the front knows its energy_mj"):
        choose(result, Selection(best="energy_mj"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "expected one of --trial N, --knee and --best METRIC, got none"),
        ({"trial": 1, "is_knee": True}, "got 2 of them"),
        ({"best": "speed"}, "expected a metric after --best, one of accuracy, .*; got 'speed'"),
        ({"trial": 1, "where": where("latency_ms <= 1")}, "--where chooses among trials, and --trial has chosen"),
    ],
)
def test_wish_that_contradicts_itself_is_refused(values, message):
    with pytest.raises(UsageError, match=message):
        Selection(**values)


def confirmed(result, latencies, test_accuracy=0.5):
    """The study with a confirmation: these latencies of each trial in five rounds, everything else as it was."""
    rounds = []
    for index in range(5):
        repeats = []
        for number, latency in enumerate(latencies):
            known = result.trials[number].outcome.metrics
            repeats.append(Repeat(number, {**known, "latency_ms": Measurement(latency[index % len(latency)])}))
        rounds.append(tuple(repeats))
    finalists = tuple(Finalist(number, f"a{number}") for number in range(len(latencies)))
    tests = {number: Measurement(test_accuracy + 0.1 * number) for number in range(len(latencies))}
    n_trials, last_finished = result.state
    found = Confirmation(
        0, n_trials, last_finished, finalists, rounds=tuple(rounds), test_accuracies=tests, ended="settled"
    )
    return replace(result, confirmation=found)


def test_choose_confirmed_values_decide_and_the_searchs_record_leaves(result):
    slow = confirmed(result, [(3.0,), (0.4,), (0.5,), (2.0,)])
    choice = choose(slow, Selection(best="latency_ms"))
    assert (choice.trial, choice.how) == (result.trials[1], "the best latency_ms of the confirmed front")
    assert choose(result, Selection(best="latency_ms")).trial.number == 2


def test_choose_confirmed_trial_off_the_front_needs_force(result):
    # Trial 3 is as accurate as in the search, and dominated by trial 1 in confirmed values too.
    slow = confirmed(result, [(3.0,), (1.0,), (0.5,), (2.0,)])
    with pytest.raises(UsageError, match="trial 3 is not on the confirmed front"):
        choose(slow, Selection(trial=3))


def test_choose_test_accuracy_chooses_nothing(result):
    latencies = [(3.0,), (1.0,), (0.5,), (2.0,)]
    found = [choose(confirmed(result, latencies, test), Selection(best="accuracy")) for test in (0.0, 0.6)]
    low, high = (replace(one, front=None, confirmed=replace(one.confirmed, test_quality=None)) for one in found)
    assert low == high


def test_choose_confirmed_trial_has_its_confirmed_values(result):
    choice = choose(confirmed(result, [(3.0,), (0.4,), (0.5,), (2.0,)]), Selection(is_knee=True))
    assert choice.confirmed.metrics["latency_ms"].value == 0.4
    assert (choice.confirmed.n_rounds, choice.confirmed.probability, choice.confirmed.ties) == (5, 1.0, ())
    assert choice.confirmed.test_quality == Measurement(0.6)
    assert choose(result, Selection(is_knee=True)).confirmed is None


def test_choose_trial_that_is_no_finalist_has_no_confirmed_values(result):
    slow = confirmed(result, [(3.0,), (1.0,), (0.5,)])
    assert choose(slow, Selection(trial=3), is_forced=True).confirmed is None


def test_choose_unlikely_members_are_passed_over_where_others_are_likely():
    """Trials 1 and 2 are equal but for noise: the median of 2 is better, and most draws say that 1 is."""
    values = {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.02}
    trials = [MAKERS.make_trial(n, values, artifact=f"a{n}") for n in range(3)]
    result = confirmed(MAKERS.make_result(trials), [(9.0,), (1.0, 1.0, 1.0, 1.0, 1.0), (0.99, 1.3, 0.99, 1.4, 0.99)])
    summary = front_view(result)
    assert [entry.trial.number for entry in summary.entries] == [2]
    (near,) = summary.near
    assert (near.trial.number, near.is_knee) == (1, False)
    assert near.probability == pytest.approx(1 - summary.entries[0].probability)
    assert near.ties == (2,)
    assert summary.eligible == summary.entries


def test_choose_invalid_trial_needs_force_and_is_labelled(result):
    doubtful = replace(result.trials[2], state="invalid", outcome=replace(result.trials[2].outcome, reasons=(GAP,)))
    result = replace(result, trials=(*result.trials[:2], doubtful, *result.trials[3:]))
    with pytest.raises(UsageError, match=r"trial 2 has no valid measurement \(the clock has a gap: "):
        choose(result, Selection(trial=2))
    assert choose(result, Selection(best="latency_ms")).trial.number == 1
