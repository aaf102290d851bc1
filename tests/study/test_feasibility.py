import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from explorer.metrics import Constraint, Objective
from explorer.records import Measurement
from explorer.study.confirm.confirmed_values import confirmed
from explorer.study.confirm.finalists import select_finalists
from explorer.study.feasibility import (
    feasible_trials,
    is_surely_feasible,
    objective_points,
    possible_trials,
    sampled_memberships,
    sampled_objectives,
)
from explorer.study.front import front_view, memberships
from explorer.study.verdict import judge

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))

OBJECTIVES = (Objective("accuracy", "maximize"), Objective("latency_ms", "minimize"))
FAST = Constraint("latency_ms", "<=", 5.0)
ACCURATE = Constraint("accuracy", ">=", 0.95, is_relative=True)


def around(value, half):
    return Measurement(value, value - half, value + half, 100)


def study(rows, *bounds, objectives=OBJECTIVES):
    """Trials of these accuracies and latencies, judged by the bounds; trial 0 is the baseline."""
    space = makers.make_space(objectives=objectives, constraints=bounds)
    trials, baseline = [], None
    for number, (accuracy, latency) in enumerate(rows):
        trial = makers.make_trial(number, {"accuracy": accuracy, "latency_ms": latency})
        state, outcome, violations = judge(trial.outcome, space, baseline)
        trials.append(replace(trial, state=state, outcome=outcome, violations=violations))
        baseline = baseline or trial.values()
    return makers.make_result(trials, space)


def numbers(trials):
    return [trial.number for trial in trials]


def finalists(result):
    return {finalist.trial for finalist in select_finalists(result, 0).finalists}


def test_feasible_trials_unknown_objective_is_left_out():
    row = {"accuracy": 0.9, "latency_ms": Measurement.unknown("no clock"), "cost_usd_per_million": 0.1}
    assert feasible_trials(makers.make_result([makers.make_trial(0, row)])) == ()


def test_objective_points_follow_the_objectives_order():
    result = makers.make_small_result()
    assert objective_points(result, result.trials[:1]).tolist() == [[0.92, 3.0, 0.06]]
    assert objective_points(result, []).shape == (0, 3)


def test_possible_trials_hold_at_the_better_end_and_sure_ones_at_the_worse():
    rows = [(0.9, around(latency, 0.1)) for latency in (1.0, 4.8, 4.95, 5.05, 5.2)]
    result = study(rows, FAST)
    assert numbers(possible_trials(result)) == [0, 1, 2, 3]
    assert [is_surely_feasible(result, trial) for trial in result.trials] == [True, True, False, False, False]
    # Processes differ by 2 %, so that 5.2 ms may be less than 5, and 4.8 more.
    assert numbers(possible_trials(result, 0.02)) == [0, 1, 2, 3, 4]
    assert not is_surely_feasible(result, result.trials[1], 0.02)


def test_possible_trials_invalid_or_unknown_ones_are_none():
    memory = Constraint("peak_memory_mib", "<=", 100.0)
    assert possible_trials(study([(0.9, 1.0)], memory)) == ()
    result = study([(0.9, 1.0)])
    assert possible_trials(replace(result, trials=(replace(result.trials[0], state="invalid"),))) == ()


@pytest.mark.parametrize(("latency", "is_finalist"), [(4.9, True), (5.02, True), (5.6, False)])
def test_finalists_trial_beside_a_bound_is_one_and_one_that_breaks_it_at_best_is_not(latency, is_finalist):
    rows = [(around(0.8, 0.01), 1.0), (around(0.9, 0.01), around(latency, 0.1)), (around(0.85, 0.01), 2.0)]
    assert (1 in finalists(study(rows, FAST))) == is_finalist


@pytest.mark.parametrize(("accuracy", "is_finalist"), [(0.851, True), (0.88, True), (0.8, False)])
def test_finalists_trial_beside_a_bound_of_the_baselines_accuracy_is_one(accuracy, is_finalist):
    rows = [(around(0.9, 0.01), 4.0), (around(accuracy, 0.01), 1.0), (around(0.895, 0.01), 2.0)]
    assert (1 in finalists(study(rows, ACCURATE))) == is_finalist


def test_finalists_trial_that_only_a_doubtful_one_dominates_is_one():
    rows = [(around(0.8, 0.01), 1.0), (around(0.95, 0.01), around(4.99, 0.1)), (around(0.9, 0.01), 4.0)]
    assert {1, 2} <= finalists(study(rows, FAST, objectives=OBJECTIVES[:1]))
    assert finalists(study(rows, objectives=OBJECTIVES[:1])) == {0, 1}


def test_drawn_memberships_point_that_breaks_a_bound_is_no_member_and_dominates_none():
    result = study([(0.9, 4.9), (0.8, 4.95)], FAST)
    drawn = np.array([[[0.9, 4.9], [0.8, 4.95]], [[0.9, 5.1], [0.8, 4.95]], [[0.9, 5.1], [0.8, 5.1]]])
    probabilities = sampled_memberships(result, result.trials, lambda trials, metrics: drawn)
    assert probabilities == pytest.approx([1 / 3, 1 / 3])


def test_drawn_memberships_bound_moves_with_the_baseline():
    result = study([(0.9, 9.0), (0.86, 1.0)], ACCURATE)
    drawn = np.array([[[0.86, 1.0], [0.9, 9.0]], [[0.86, 1.0], [0.95, 9.0]]])
    assert sampled_memberships(result, result.trials[1:], lambda trials, metrics: drawn).tolist() == [0.5]
    objectives, holds = sampled_objectives(result, result.trials[1:], lambda trials, metrics: drawn)
    assert objectives.shape == (2, 1, 2)
    assert holds.tolist() == [[True], [False]]


def test_front_membership_beside_a_bound_is_uncertain_on_either_side():
    rows = [(0.7, 1.0), (0.8, 4.99), (0.9, 5.02), (0.95, 9.0)]
    rounds = (-0.2, 0.0, 0.2, -0.1, 0.1)
    again = {n: {"latency_ms": tuple(rows[n][1] + one for one in rounds)} for n in (1, 2)}
    result = makers.make_confirmed(study(rows, FAST), again, finalists=[0, 1, 2, 3])
    summary = front_view(result)
    assert [entry.trial.number for entry in summary.entries] == [1, 0]
    assert [entry.trial.number for entry in summary.near] == [2]
    assert 0.1 < summary.entries[0].probability < 0.9
    assert 0.1 < summary.near[0].probability < 0.9
    assert summary.near[0].to_json()["feasible"] is False
    assert memberships(result).keys() == {0, 1, 2}
    # Whatever breaks a bound with its confirmed values is named, as it was in the search too.
    assert [one.trial for one in confirmed(result, result.confirmation).unconfirmed] == [2, 3]
