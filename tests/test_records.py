from __future__ import annotations

import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.records import Measurement, Metrics, Variant

NUMBERS = st.floats(allow_nan=False)
MEASURED = st.builds(Measurement, NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS, st.none() | st.integers(0, 2**53))
UNKNOWN = st.builds(Measurement.unknown, st.text())
SETS = st.dictionaries(st.text(max_size=5), MEASURED | UNKNOWN, max_size=6)


@given(SETS)
def test_metrics_are_the_measurements_that_they_were_made_of(measured):
    metrics = Metrics(measured)
    assert list(metrics.items()) == list(measured.items())
    assert metrics == measured
    assert metrics.known() == {name: m.value for name, m in measured.items() if m.value is not None}
    assert all(type(m.n) is int for m in metrics.values() if m.n is not None)


@given(SETS)
def test_metrics_from_json_inverts_the_measurements_to_json(measured):
    written = json.loads(json.dumps({name: m.to_json() for name, m in measured.items()}))
    assert Metrics.from_json(written) == measured


@given(SETS, SETS)
def test_metrics_differ_where_the_measurements_do(one, other):
    assert (Metrics(one) == Metrics(other)) == (one == other)


def test_metrics_of_metrics_are_themselves():
    metrics = Metrics({"accuracy": Measurement(0.5)})
    assert Metrics.of(metrics) is metrics
    assert Metrics.of({"accuracy": Measurement(0.5)}) == metrics


def test_metrics_nan_is_a_value_and_not_unknown():
    value = Metrics({"latency_ms": Measurement(math.nan)})["latency_ms"].value
    assert value is not None
    assert math.isnan(value)


def test_metrics_name_that_is_missing_is_a_key_error():
    with pytest.raises(KeyError, match="accuracy"):
        Metrics({})["accuracy"]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"accuracy": {"value": "high", "low": None, "high": None, "n": 1}}, TypeError),
        ({"accuracy": {"value": 10**400, "low": None, "high": None, "n": 1}}, ValueError),
        ({"accuracy": {"value": 0.5}}, KeyError),
        ({"accuracy": {"low": 1, "high": 2, "n": 1, "why": ""}}, KeyError),
        ({"accuracy": 7}, TypeError),
        ({"accuracy": None}, TypeError),
    ],
)
def test_metrics_from_anything_else_is_refused(values, error):
    with pytest.raises(error):
        Metrics.from_json(values)


def test_metrics_of_many_trials_take_little_memory():
    names = [f"metric_{index}" for index in range(15)]

    def bytes_of(value: float) -> int:
        metrics = Metrics({name: Measurement(value, value, value, 100) for name in names})
        return sys.getsizeof(metrics) + sys.getsizeof(metrics.numbers)

    assert bytes_of(0.1) < 700
    assert Metrics({"a": Measurement(1.0)}).fields is Metrics({"a": Measurement(2.0)}).fields


def test_variant_has_the_baseline_value_of_what_is_missing():
    variant = Variant(width=0.5)
    assert (variant["width"], variant["runtime"], variant["batch_size"]) == (0.5, "eager", 1)
    assert dict(variant) == {"width": 0.5}
    assert "runtime" not in variant
    with pytest.raises(KeyError, match="speed"):
        variant["speed"]


def test_variant_of_an_unknown_parameter_is_refused():
    with pytest.raises(TypeError, match="'speed' is no parameter; the parameters are width, "):
        Variant(speed=2)


@pytest.mark.parametrize(
    "other",
    [
        Variant({"width": 0.5}),
        Variant(width=(0.5, 0.5, 0.5)),
        Variant(width=[0.5], threads=1),
        Variant(runtime="eager", width=0.5, depth=2),
    ],
)
def test_variant_is_equal_however_it_is_written(other):
    assert (other, hash(other)) == (Variant(width=0.5), hash(Variant(width=0.5)))
    assert other.key("network") == {"width": 0.5}


@pytest.mark.parametrize("other", [Variant(), Variant(width=0.25), Variant(width=0.5, threads=2), {"width": 0.5}])
def test_variant_differs_where_a_value_does(other):
    assert other != Variant(width=0.5)


def test_variant_key_has_what_enters_the_phase_and_is_not_the_baselines():
    variant = Variant(runtime="onnxruntime", width=(0.5, 1.0, 1.0), pruning_ratio=0.2, quantization="none", threads=2)
    assert variant.key("network") == {"pruning_ratio": 0.2, "width": [0.5, 1.0, 1.0]}
    assert variant.key("export") == {"runtime": "onnxruntime"}
    assert variant.key("artifact") == {}
    assert variant.key("run") == {"threads": 2}


def test_variant_from_json_inverts_to_json():
    variant = Variant(width=(0.5, 1.0, 1.0), threads=2)
    written = json.loads(json.dumps(variant.to_json()))
    assert written == {"width": [0.5, 1.0, 1.0], "threads": 2}
    assert Variant.from_json(written) == variant


def test_variant_replaced_keeps_the_other_values():
    assert Variant(width=0.5, threads=2).replaced(threads=1) == Variant(width=0.5)
