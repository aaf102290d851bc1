from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.deploy.choice import Neighbor, Wish, choose
from explorer.errors import NothingFeasible, UsageError
from explorer.space.limits import parse_constraint

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
    choice = choose(result, Wish(is_knee=True))
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
    choice = choose(result, Wish(best=metric, where=where(*limits)))
    assert choice.trial.number == expected
    assert choice.how == f"the best {metric} of the front" + "".join(
        f"{' and' if i else ' where'} {limit}" for i, limit in enumerate(limits)
    )


def test_choose_nothing_feasible_tells_the_nearest_misses(result):
    with pytest.raises(NothingFeasible, match=r"Nearest misses:\n  trial 2: `latency_ms <= 0.4` by 0.1 ms"):
        choose(result, Wish(best="accuracy", where=where("latency_ms <= 0.4")))


def test_choose_number_of_a_front_trial_has_no_objection(result):
    choice = choose(result, Wish(trial=2))
    assert (choice.trial.number, choice.is_on_front, choice.objections) == (2, True, ())
    assert [neighbor.trial for neighbor in choice.neighbors] == [1]


@pytest.mark.parametrize(
    ("number", "why"), [(3, "is dominated by other trials"), (4, "breaks `peak_memory_mib <= 1000`")]
)
def test_choose_number_of_a_poor_trial_needs_force_and_is_labelled(result, number, why):
    with pytest.raises(UsageError, match=f"trial {number} {why}.*--force"):
        choose(result, Wish(trial=number))
    choice = choose(result, Wish(trial=number), is_forced=True)
    assert (choice.objections, choice.is_on_front, choice.neighbors) == ((why,), False, ())


def test_choose_failed_or_unknown_trial_is_refused_even_by_force(result):
    with pytest.raises(UsageError, match=r"trial 5 failed \(signal SIGSEGV in measure\)"):
        choose(result, Wish(trial=5), is_forced=True)
    with pytest.raises(UsageError, match="no finished trial 99 in made-up"):
        choose(result, Wish(trial=99), is_forced=True)


def test_choose_metric_that_no_trial_knows_is_refused(result):
    with pytest.raises(UsageError, match="no trial of the front knows its energy_mj"):
        choose(result, Wish(best="energy_mj"))


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
        Wish(**values)
