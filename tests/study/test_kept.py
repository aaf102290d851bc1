from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from explorer.records import Measurement, Stage, TrialOutcome, Variant
from explorer.study.kept import PackedDetails, PackedStages, kept
from explorer.study.result import TrialRecord

DETAILS = {"exit_shares": [0.25, 0.75], "timing": {"seconds": 1.5, "why": "Kühn, größer"}, "none": None}


def test_packed_details_read_as_what_they_were():
    packed = PackedDetails(DETAILS)
    assert packed == DETAILS
    assert dict(packed) == DETAILS
    assert list(packed) == list(DETAILS)
    assert len(packed) == len(DETAILS)
    assert packed["timing"]["why"] == "Kühn, größer"


def test_packed_details_change_of_what_was_read_changes_nothing():
    packed = PackedDetails(DETAILS)
    packed["timing"]["seconds"] = 2.0
    assert packed == DETAILS


def test_packed_details_that_no_json_has_say_so():
    with pytest.raises(TypeError, match="not JSON serializable"):
        PackedDetails({"why": object()})


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


def test_kept_record_is_equal_and_smaller():
    details = {f"exit_{index}": {"value": index / 7, "low": index / 9, "high": index / 5} for index in range(20)}
    metrics = {"accuracy": Measurement(0.9, 0.89, 0.91, 1000), "energy_mj": Measurement.unknown("no counters")}
    outcome = TrialOutcome(Variant(width=(0.5, 1.0)), metrics, "a1", (Stage("measure", 1.5),), details)
    record = TrialRecord(3, "complete", outcome, {"latency_ms <= 5": -1.0}, 1.0, 2.0)
    assert kept(record) == record
    assert kept(kept(record)) == record
    assert sys.getsizeof(kept(record).outcome.details._text) < len(str(details)) / 2
    assert kept(record) != replace(record, outcome=replace(outcome, details={**details, "exit_0": 1}))
