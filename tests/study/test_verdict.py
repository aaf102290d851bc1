from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from fakes import OBJECTIVES, STEAL, known_metrics, small_space

from explorer.metrics import Constraint, Objective
from explorer.records import Failure, Measurement, TrialOutcome, Variant
from explorer.study.verdict import judge, violation_shares

BASELINE = known_metrics(Variant())


def outcome(**changes) -> TrialOutcome:
    values = {**known_metrics(Variant(width=0.5)), **changes}
    metrics = {name: v if isinstance(v, Measurement) else Measurement(v) for name, v in values.items()}
    return TrialOutcome(Variant(width=0.5), metrics, "a1")


def test_judge_constraints_hold_is_complete():
    space = small_space(constraints=[Constraint("accuracy", ">=", 0.8, True), Constraint("latency_ms", "<=", 100)])
    state, checked, violations = judge(outcome(), space, BASELINE)
    assert (state, checked.failure) == ("complete", None)
    assert all(amount <= 0 for amount in violations.values())


def test_judge_constraint_broken_is_infeasible_with_the_amount():
    space = small_space(constraints=[Constraint("latency_ms", "<=", 1.5)])
    state, _, violations = judge(outcome(latency_ms=2.0), space, BASELINE)
    assert state == "infeasible"
    assert violations == {"latency_ms <= 1.5": pytest.approx(0.5)}


def test_judge_constrained_metric_unknown_is_infeasible_by_infinity():
    space = small_space(constraints=[Constraint("energy_mj", "<=", 3)])
    assert judge(outcome(), space, BASELINE)[2] == {"energy_mj <= 3": math.inf}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("latency_ms", math.nan, "latency_ms is nan, expected a finite number"),
        ("latency_ms", math.inf, "latency_ms is inf, expected a finite number"),
        ("latency_ms", -1.0, "latency_ms is -1, expected no negative number"),
        ("accuracy", 1.3, r"accuracy is 1.3, expected a ratio in \[0, 1\]"),
        ("accuracy", "high", "accuracy is 'high', expected a number"),
        ("accuracy", True, "accuracy is True, expected a number"),
        ("latency_ms", 0.0, "latency_ms is 0, expected more than 0 ms"),
        ("latency_ms", 10**400, r"latency_ms is 10+\.\.\.0+, expected a finite number"),
        ("latency_ms", 1e101, r"latency_ms is 1e\+101, expected at most 1e\+100"),
        ("latency_ms", Measurement(1.0, low=math.nan), "latency_ms is nan, expected a finite number"),
        ("latency_ms", Measurement(1.0, high="2"), "latency_ms is '2', expected a number"),
    ],
)
def test_judge_impossible_value_is_a_failure(name, value, reason):
    state, checked, violations = judge(outcome(**{name: value}), small_space(), BASELINE)
    assert (state, violations) == ("failed", {})
    assert checked.failure is not None
    assert checked.failure.kind == "invalid value"
    assert re.fullmatch(reason, checked.failure.reason)
    assert checked.metrics[name].value is None


def test_judge_failure_that_names_a_file_that_is_no_utf_8_can_be_stored():
    failed = TrialOutcome(Variant(), failure=Failure.reported("missing file", "no such file: '/data/\udcff.npy'"))
    _, checked, _ = judge(failed, small_space(), BASELINE)
    assert checked.failure == Failure.reported("missing file", r"no such file: '/data/\udcff.npy'")


def test_judge_objective_unknown_is_a_failure_that_says_why():
    space = small_space(objectives=[*OBJECTIVES, Objective("energy_mj", "minimize")])
    _, checked, _ = judge(outcome(energy_mj=Measurement.unknown("no permission to read RAPL")), space, BASELINE)
    assert checked.failure == Failure("objective_unknown", {"metric": "energy_mj", "why": "no permission to read RAPL"})
    assert checked.failure.reason == "energy_mj is not known: no permission to read RAPL"
    _, checked, _ = judge(outcome(), space, BASELINE)
    assert checked.failure == Failure("objective_unknown", {"metric": "energy_mj", "why": "it was not measured"})


def test_judge_baseline_lacks_the_metric_of_a_relative_bound_is_a_failure():
    space = small_space(constraints=[Constraint("energy_mj", "<=", 0.5, is_relative=True)])
    assert judge(outcome(), space, None)[0] == "failed"


def test_judge_failure_stays_what_it_was():
    failure = Failure.reported("timeout in measuring", "it took more than 60 s")
    assert judge(TrialOutcome(Variant(), failure=failure), small_space(), BASELINE)[1].failure == failure


def test_violation_shares_are_relative_to_the_bound_and_bounded():
    constraints = [Constraint("accuracy", ">=", 0.5, True), Constraint("latency_ms", "<=", 2), Constraint("x", "<=", 0)]
    shares = violation_shares(constraints, {"accuracy": 0.4, "latency_ms": 3.0}, {"accuracy": 1.0})
    assert shares == {
        "accuracy >= 0.5 * baseline": pytest.approx(0.2),
        "latency_ms <= 2": pytest.approx(0.5),
        "x <= 0": 1e6,
    }


def test_judge_invalid_measurement_is_a_state_with_its_violations():
    space = small_space(constraints=[Constraint("latency_ms", "<=", 1.5)])
    doubtful = replace(outcome(latency_ms=2.0), reasons=(STEAL,))
    state, checked, violations = judge(doubtful, space, BASELINE)
    assert (state, checked.invalid) == ("invalid", (STEAL.sentence,))
    assert violations == {"latency_ms <= 1.5": pytest.approx(0.5)}


def test_judge_failure_wins_over_an_invalid_measurement():
    doubtful = replace(outcome(latency_ms=math.nan), reasons=(STEAL,))
    assert judge(doubtful, small_space(), BASELINE)[0] == "failed"
