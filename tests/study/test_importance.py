from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import small_space

from explorer.metrics import Objective
from explorer.records import Failure, Measurement, TrialOutcome, Variant
from explorer.space.values import Parameter
from explorer.study.importance import MIN_TRIALS, parameter_importance
from explorer.study.result import StudyResult, TrialRecord

NAMES = ("width", "pruning_ratio", "quantization")


def make_result(n_trials, seed=0, metrics=None, state="complete") -> StudyResult:
    """Width alone decides about accuracy, quantization alone about latency."""
    values = {
        "width": (0.25, 0.5, 0.75, 1.0),
        "pruning_ratio": (0.0, 0.2, 0.4),
        "quantization": ("none", "dynamic_int8", "static_int8"),
    }
    space = small_space()
    parameters = {name: Parameter(name, values.get(name, p.values[:1])) for name, p in space.parameters.items()}
    objectives = (Objective("accuracy", "maximize"), Objective("latency_ms", "minimize"))
    space = replace(space, parameters=parameters, objectives=objectives, constraints=())
    rng = random.Random(seed)
    trials = []
    for number in range(n_trials):
        variant = space.baseline().replaced(**{name: rng.choice(values[name]) for name in values})
        speed = {"none": 3.0, "dynamic_int8": 2.0, "static_int8": 1.0}[variant["quantization"]]
        known = metrics or {
            "accuracy": variant["width"] + 0.01 * rng.random(),
            "latency_ms": speed + 0.01 * rng.random(),
        }
        outcome = TrialOutcome(variant, {name: Measurement(value) for name, value in known.items()})
        trials.append(TrialRecord(number, state, outcome, {}, 0.0, 1.0))
    return StudyResult(space.name, Path("studies/s"), space, tuple(trials), {})


def test_parameter_importance_finds_what_decides_each_objective():
    accuracy, latency = parameter_importance(make_result(200))
    assert (accuracy.metric, latency.metric) == ("accuracy", "latency_ms")
    assert next(iter(accuracy.shares)) == "width"
    assert accuracy.shares["width"] > 0.8
    assert next(iter(latency.shares)) == "quantization"
    assert set(latency.shares) == set(NAMES)
    assert sum(latency.shares.values()) == pytest.approx(1.0)


def test_parameter_importance_minimum_and_maximum_are_not_confused():
    result = make_result(200)
    turned = []
    for trial in result.trials:
        metrics = {
            "accuracy": Measurement(trial.values()["accuracy"]),
            "latency_ms": Measurement(trial.variant["width"]),
        }
        turned.append(replace(trial, outcome=replace(trial.outcome, metrics=metrics)))
    accuracy, latency = parameter_importance(replace(result, trials=tuple(turned)))
    assert next(iter(accuracy.shares)) == next(iter(latency.shares)) == "width"


def test_parameter_importance_same_trials_same_numbers():
    assert parameter_importance(make_result(150)) == parameter_importance(make_result(150))


def test_parameter_importance_infeasible_trials_count_and_failed_do_not():
    assert parameter_importance(make_result(60, state="infeasible"))[0].n_trials == 60
    result = make_result(60)
    failed = [
        replace(trial, state="failed", outcome=replace(trial.outcome, failure=Failure.reported("a", "b")))
        for trial in result.trials
    ]
    assert parameter_importance(replace(result, trials=tuple(failed)))[0].n_trials == 0


def test_parameter_importance_few_trials_says_how_many_it_takes():
    for importance in parameter_importance(make_result(MIN_TRIALS - 1)):
        assert importance.shares is None
        assert importance.why == f"it takes {MIN_TRIALS} measured trials to tell, and there are {MIN_TRIALS - 1}"
    assert parameter_importance(make_result(MIN_TRIALS))[0].shares is not None


def test_parameter_importance_constant_objective_says_so():
    accuracy, _ = parameter_importance(make_result(50, metrics={"accuracy": 0.5, "latency_ms": 1.0}))
    assert accuracy.to_json() == {
        "metric": "accuracy",
        "shares": None,
        "n_trials": 50,
        "why": "every trial has the same value",
    }


def test_parameter_importance_no_choice_says_so():
    result = make_result(50)
    fixed = {name: Parameter(name, p.values[:1]) for name, p in result.space.parameters.items()}
    (first, _) = parameter_importance(replace(result, space=replace(result.space, parameters=fixed)))
    assert first.why == "the search space has no parameter with a choice"


def test_parameter_importance_trials_outside_of_the_space_are_passed_over():
    result = make_result(60)
    stranger = replace(result.trials[0], outcome=replace(result.trials[0].outcome, variant=Variant(width=0.1)))
    assert parameter_importance(replace(result, trials=(*result.trials, stranger)))[0].n_trials == 60


def test_parameter_importance_many_trials_are_thinned():
    assert parameter_importance(make_result(3100))[0].n_trials == 3000
