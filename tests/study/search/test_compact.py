from __future__ import annotations

import json
import sys
from dataclasses import replace

from fakes import make_observation

from explorer.records import Measurement, Stage, TrialOutcome, Variant
from explorer.study.result import TrialRecord
from explorer.study.search.compact import PackedStages, compacted


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
