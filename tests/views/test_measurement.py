import json

import pytest

from explorer.views.measurement import measurement_lines
from explorer.views.wording import Glyphs

DETAILS = {
    "exit_shares": [0.25, 0.75],
    "exit_latencies_ms": [{"value": 0.5, "low": 0.4, "high": 0.6, "n": 40}, {"value": None, "why": "no timed query"}],
    "processor_share": 0.98,
    "cold_start_ms": {"start": 150.0, "import": 40.0, "load": 10.0, "first_answer": 2.5},
    "memory_mib": {"peak": 80.0, "runtime": 50.0, "model": 30.0},
    "memory_bytes": {"parameters": 2**20, "activations": 2**19, "workspace": 2**18, "total": 1, "segments": []},
    "timing": {
        "budget": "quarter",
        "is_steady": False,
        "is_narrow": False,
        "interval_ratio": 0.031,
        "seconds": 0.25,
        "raw_latency_ms": {"value": 1.1, "low": 1.0, "high": 1.2, "n": 1234},
    },
    "anchor": {
        "value": 0.066,
        "low": 0.065,
        "high": 0.067,
        "n": 9,
        "reference": 0.06,
        "slowness": 1.1,
        "dispersion": 0.02,
        "sensitivity": 0.25,
    },
    "utilization": {"sentence": "Bound by memory: 3 of 100 GFLOP/s (3%).", "cpu_share": 0.9, "threads": 1},
}


def lines(makers, details):
    return measurement_lines(makers.make_trial(0, {"accuracy": 0.9}, details=details), Glyphs())


def test_measurement_lines_say_raw_times_beside_the_anchors_slowness(makers):
    timing = lines(makers, DETAILS)["timing"]
    assert timing["as the clock had it"] == "1.1 ms (1–1.2, n 1,234); the anchor took 1.100 of its reference time"
    assert timing["anchor"].startswith("0.066 ms (0.065–0.067, n 9), reference 0.06 ms; its windows differ by 2.0%")
    assert timing["anchor"].endswith("of which the variant feels 25% (at most 20% may be felt)")
    assert timing["budget"] == "a quarter of the budget: it is far from the front, 0.25 s timed"
    assert timing["warm-up"].startswith("NOT steady")
    assert timing["interval"] == "NOT narrow (within 3.1% of the median)"


def test_measurement_lines_have_cold_start_and_memory_in_their_parts(makers):
    found = lines(makers, DETAILS)
    assert list(found["cold start"].items())[-2:] == [("first answer", "2.5 ms"), ("sum", "202 ms")]
    memory = found["memory, measured and calculated"]
    assert memory["of it the bare runtime"] == "50 MiB, measured"
    assert memory["M_workspace"] == "0.25 MiB, calculated for one image in float32"
    assert memory["M_total"] == "1.75 MiB, calculated: their sum"


@pytest.mark.parametrize(("n_working", "is_said"), [(0, True), (1, False), (2, False), ("one", False)])
def test_measurement_lines_say_where_fewer_threads_worked_than_were_asked_for(makers, n_working, is_said):
    timing = lines(makers, {**DETAILS, "conditions": {"n_working": n_working}})["timing"]
    assert ("threads" in timing) == is_said
    if is_said:
        assert timing["threads"] == "NOT all used: 0 of the 1 asked for worked while timing"


def test_measurement_lines_have_the_share_and_latency_of_each_path(makers):
    assert lines(makers, DETAILS)["latency of each path"] == {
        "exit 1": "25 % of the images · latency 0.5 ms (0.4–0.6, n 40)",
        "the last": "75 % of the images",
    }


def test_measurement_lines_say_what_binds_the_variant(makers):
    assert lines(makers, DETAILS)["use of the machine"]["bound by"] == DETAILS["utilization"]["sentence"]


def test_measurement_lines_without_an_anchor_say_why(makers):
    anchor = {"value": None, "why": "onnxruntime is not installed"}
    timing = lines(makers, {**DETAILS, "anchor": anchor})["timing"]
    assert timing["anchor"] == "none: onnxruntime is not installed; times are corrected by the pulse alone"
    assert timing["as the clock had it"] == "1.1 ms (1–1.2, n 1,234)"


@pytest.mark.parametrize("value", [None, [], "abc", {"a": 1}, float("nan"), True, [[1]], [float("inf")]])
def test_measurement_lines_of_older_or_damaged_details_are_left_out(makers, value):
    assert lines(makers, {}) == {}
    found = lines(makers, dict.fromkeys(DETAILS, value))
    assert json.dumps(found) == "{}"
