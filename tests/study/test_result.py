import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from fakes import make_observation

from explorer.records import Measurement, Stage, TrialOutcome, Variant
from explorer.study.result import PackedStages, TrialRecord, compacted

makers = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "views" / "makers.py")))


def test_baseline_is_trial_zero_wherever_it_stands():
    trials = [makers.make_trial(1, {"accuracy": 0.5}), makers.make_trial(0, {"accuracy": 0.9})]
    assert makers.make_result(trials).baseline_values() == {"accuracy": 0.9}


def test_baseline_that_failed_is_none():
    result = makers.make_result([makers.make_trial(0, reason="no memory")])
    assert result.baseline is None
    assert result.baseline_values() == {}


def test_baseline_that_is_infeasible_still_compares():
    result = makers.make_result([makers.make_trial(0, {"accuracy": 0.9}, violations={"accuracy >= 0.95": 0.05})])
    assert result.baseline.number == 0


def test_metric_names_objectives_come_first_then_the_usual_order():
    metrics = {"peak_memory_mib": 1.0, "home_made": 1.0, "latency_mean_ms": Measurement.unknown("why")}
    names = makers.make_result([makers.make_trial(0, metrics)]).metric_names()
    assert names == (
        "accuracy",
        "latency_ms",
        "cost_usd_per_million",
        "latency_mean_ms",
        "peak_memory_mib",
        "home_made",
    )


def test_trial_by_number_is_found_or_none():
    result = makers.make_small_result()
    assert result.trial(3).number == 3
    assert result.trial(99) is None


def test_broken_lists_only_what_is_violated():
    trial = makers.make_trial(0, {"accuracy": 0.9}, violations={"a": 0.0, "b": 1.0, "c": -1.0})
    assert (trial.broken(), trial.state, trial.is_feasible) == ({"b": 1.0}, "infeasible", False)


def test_packed_stages_are_what_they_were():
    stages = (Stage("network", 0.25, is_cached=True), Stage("measure", 1 / 3))
    packed = PackedStages(stages)
    assert packed == stages
    assert tuple(packed) == stages
    assert (len(packed), len(PackedStages(()))) == (2, 0)
    assert stages[1] in packed
    assert Stage("measure", 0.5) not in packed
    assert packed != stages[:1]
    assert PackedStages(packed) == packed


def test_compacted_record_is_equal_and_smaller():
    metrics = {"accuracy": Measurement(0.9, 0.89, 0.91, 1000), "energy_mj": Measurement.unknown("no counters")}
    observation = make_observation()
    outcome = TrialOutcome(Variant(width=(0.5, 1.0)), metrics, "a1", (Stage("measure", 1.5),), observation)
    record = TrialRecord(3, "complete", outcome, {"latency_ms <= 5": -1.0}, 1.0, 2.0)
    smaller = compacted(record)
    assert smaller == record
    assert compacted(smaller) == record
    assert smaller.outcome.observation == observation
    assert sys.getsizeof(smaller.outcome.observed._text) < 0.6 * len(json.dumps(observation.to_json()))
    assert smaller != replace(record, outcome=replace(outcome, observed=make_observation(busy_cores=0.5)))
