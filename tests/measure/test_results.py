"""Results from raw samples made by hand: what is corrected, what is kept as the clock had it, what is not believed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from explorer.measure.child import ChildFailed
from explorer.measure.conditions import Conditions
from explorer.measure.correction import Reference
from explorer.measure.cost import Prices
from explorer.measure.phases import Phase
from explorer.measure.results import measured
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact

LABELS = np.array([0, 1, 2, 0])
FACTS = {
    "cold_start_ms": [20.0, 50.0, 40.0, 13.0],
    "peak_memory_mib": 512.0,
    "runtime_mib": 500.0,
    "busy_cores": 0.99,
    "energy_mj": None,
    "energy_why": "no",
    "modules": ["onnxruntime"],
    "cores": [1],
    "conditions": [Conditions(1.0, 0.0, 0.0, 1, (1,), 0.0).to_json()],
    "is_whole": True,
    "is_steady": True,
    "is_narrow": True,
    "n_answers": 100,
    "n_different": 0,
    "phases": {},
}
MS = 1_000_000


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    for name in ("artifact.json", "a"):
        (tmp_path / name).write_bytes(b"0")
    return Artifact(tmp_path, {"n_parameters": 7, "segments": [{"file": "a", "mega_macs": 2.0}]})


def raw(slowness: float = 1.0, has_anchor: bool = True, **changed: np.ndarray) -> dict[str, np.ndarray]:
    """Ten windows of twenty queries of 1 ms, and an anchor of 0.5 ms; both times the slowness."""
    n_windows, n = 10, 20
    anchor = np.full((n_windows + 1) * 5, int(0.5 * slowness * MS)) if has_anchor else np.array([], dtype=np.int64)
    return {
        "latency_raw_ns": np.full(n_windows * n, int(slowness * MS)),
        "latency_window": np.repeat(np.arange(n_windows), n),
        "latency_exits": np.zeros((n_windows * n, 1), dtype=np.int64),
        "anchor_ns": anchor,
        "anchor_window": np.repeat(np.arange(n_windows + 1), 5)[: len(anchor)],
        "pulse_ns": np.full((n_windows + 1) * 3, int(0.1 * slowness * MS)),
        "pulse_window": np.repeat(np.arange(n_windows + 1), 3),
        "stretch_wall_ns": np.full(21, 20 * MS),
        "stretch_processor_ns": np.full(21, 20 * MS),
        "exits": np.zeros(4, dtype=np.int64),
        "predictions": np.array([0, 1, 2, 1]),
        "logits": np.eye(3)[np.array([[0, 1, 2, 1]])],
        **changed,
    }


REFERENCE = Reference(0.5 * MS, 0.1 * MS)


def made(artifact, samples, reference=REFERENCE, **facts):
    return measured(samples, {**FACTS, **facts}, LABELS, artifact, Variant(), Prices(3.6, 0, 0), 3, reference)


def test_measured_slow_machine_is_taken_out_and_both_times_are_kept(artifact):
    result, samples = made(artifact, raw(slowness=1.5))
    assert result.metrics["latency_ms"].value == pytest.approx(1.0)
    assert result.metrics["latency_mean_ms"].value == pytest.approx(1.0)
    assert result.metrics["cost_usd_per_million"].value == pytest.approx(1.0)
    assert result.details["timing"]["raw_latency_ms"]["value"] == pytest.approx(1.5)
    assert result.details["anchor"]["slowness"] == pytest.approx(1.5)
    assert result.details["anchor"]["pulse_slowness"] == pytest.approx(1.5)
    assert result.details["anchor"]["reference"] == 0.5
    assert set(samples["latency_ns"]) == {MS}
    assert set(samples["latency_raw_ns"]) == {int(1.5 * MS)}
    assert result.invalid == ()


def test_measured_first_measurement_is_its_own_reference(artifact):
    result, _ = made(artifact, raw(slowness=1.5), reference=None)
    assert result.metrics["latency_ms"].value == pytest.approx(1.5)
    assert result.details["anchor"]["reference"] == pytest.approx(0.75)


def test_measured_first_anchor_is_its_own_reference_beside_a_pulse_that_is_known(artifact):
    result, _ = made(artifact, raw(slowness=1.5), reference=Reference(None, 0.1 * MS))
    assert result.metrics["latency_ms"].value == pytest.approx(1.0)
    assert result.details["anchor"]["value"] == result.details["anchor"]["reference"] == pytest.approx(0.75)
    assert result.details["anchor"]["pulse_slowness"] == pytest.approx(1.5)


def test_measured_without_an_anchor_follows_the_pulse(artifact):
    result, _ = made(artifact, raw(slowness=1.5, has_anchor=False))
    assert result.metrics["latency_ms"].value == pytest.approx(1.0)
    assert result.details["anchor"]["value"] is None
    assert result.details["anchor"]["pulse_slowness"] == pytest.approx(1.5)


def test_measured_parts_of_memory_and_cold_start_add_up(artifact):
    result, _ = made(artifact, raw())
    memory = result.details["memory_mib"]
    assert memory["peak"] == memory["runtime"] + memory["model"] == result.metrics["peak_memory_mib"].value
    assert memory["model"] == result.metrics["model_memory_mib"].value
    assert list(result.details["cold_start_ms"]) == ["start", "import", "load", "first_answer"]
    assert sum(result.details["cold_start_ms"].values()) == result.metrics["cold_start_ms"].value == 123.0


@pytest.mark.parametrize(
    ("changed", "facts", "said"),
    [
        ({"stretch_processor_ns": np.full(21, 10 * MS)}, {}, "others had its core"),
        ({"stretch_wall_ns": np.array([20 * MS] * 20 + [320 * MS])}, {}, "gap"),
        ({}, {"n_different": 1}, "not those of the accuracy pass"),
        ({}, {"conditions": [Conditions(1.0, 0.0, 0.0, 4, (1,), 0.0).to_json()]}, "4 threads worked"),
        ({}, {"cores": [0]}, "cores"),
        ({}, {"phases": {"import": asdict(Phase(1.3, 0.9, 0.1, 0.0, True))}}, "its import has a gap"),
        ({}, {"phases": {"energy pass": asdict(Phase(1.3, 0.9, 0.3, 0.0, False))}}, "its energy pass has a gap"),
    ],
)
def test_measured_planted_fault_is_invalid_with_its_reason(artifact, changed, facts, said):
    result, _ = made(artifact, raw(**changed), **facts)
    assert any(said in reason for reason in result.invalid)
    assert result.metrics["latency_ms"].value is not None


@pytest.mark.parametrize("phase", ["memory pass", "warm-up"])
def test_measured_pause_where_no_time_is_stated_leaves_it_valid(artifact, phase):
    result, _ = made(artifact, raw(), phases={phase: asdict(Phase(1.3, 0.9, 0.1, 0.0, True))})
    assert result.invalid == ()
    assert result.details["phases"][phase]["was_stopped"] is True


@pytest.mark.parametrize(
    "facts",
    [
        {"peak_memory_mib": None},
        {"peak_memory_mib": float("inf")},
        {"runtime_mib": -1.0},
        {"busy_cores": True},
        {"cold_start_ms": [1.0]},
        {"cold_start_ms": [1.0, "2", 3.0, 4.0]},
    ],
)
def test_measured_nonsense_of_a_probe_is_refused(artifact, facts):
    with pytest.raises(ChildFailed, match="a number of at least 0 was expected"):
        made(artifact, raw(), **facts)


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"latency_raw_ns": np.full(200, 0)}, "invalid value", "latency_raw_ns is 0, expected times above 0"),
        ({"pulse_ns": np.full(33, -1)}, "invalid value", "pulse_ns is -1, expected times above 0"),
        ({"logits": np.full((1, 4, 3), np.inf)}, "invalid value", "logits that are not finite"),
        ({"latency_raw_ns": np.array([], dtype=np.int64)}, "bad result", r"shape \[0\]; expected q = at least 1"),
        ({"latency_window": np.zeros(199, dtype=np.int64)}, "bad result", r"shape \[199\]; expected q = 200"),
        ({"latency_window": np.repeat(np.arange(10), 20)[::-1]}, "bad result", "does not count upwards from 0"),
        ({"latency_exits": np.zeros((200, 2), dtype=np.int64)}, "bad result", r"shape \[200, 2\]; expected b = 1"),
        ({"exits": np.array([0, 0, 0, 1])}, "bad result", "exits that are not among the 1 exits"),
        ({"predictions": np.array([0])}, "bad result", r"predictions \[n\] of shape \[1\]; expected n = 4"),
        ({"predictions": np.array([0.0, 1.0, 2.0, 0.0])}, "bad result", r"no predictions \[n\]"),
        ({"logits": np.zeros((1, 4, 5))}, "bad result", r"logits \[e, n, k\] of shape \[1, 4, 5\]; expected k = 3"),
    ],
)
def test_measured_samples_that_no_probe_takes_are_refused(artifact, changed, kind, said):
    with pytest.raises(ChildFailed, match=said) as failed:
        made(artifact, raw(**changed))
    assert failed.value.kind == kind


@pytest.mark.parametrize(
    "facts",
    [
        {"conditions": []},
        {"conditions": [{"seconds": 1.0}]},
        {"phases": {"load": {}}},
        {"phases": None},
        {"modules": "torch"},
        {"is_steady": None},
    ],
)
def test_measured_facts_of_another_kind_are_a_bad_result(artifact, facts):
    with pytest.raises(ChildFailed, match="the probe") as failed:
        made(artifact, raw(), **facts)
    assert failed.value.kind == "bad result"
