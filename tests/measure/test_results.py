"""Results from raw samples made by hand: what is corrected, what is kept as the clock had it, what is not believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import artifact_facts, segment

from explorer.measure.drift_correction import Reference
from explorer.measure.metrics import Prices, Subject
from explorer.measure.results import Terms, measured
from explorer.measure.scenarios.scenario import scenario_named
from explorer.observation import ColdStart, Conditions, Estimate, Phase
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.task import task_named
from explorer.typed_json import to_json

TARGETS = np.array([0, 1, 2, 0])
PHASES = {
    "start": Phase(0.020, 0.02, 0.0, 0.0, False),
    "import": Phase(0.050, 0.05, 0.0, 0.0, False),
    "load": Phase(0.040, 0.04, 0.0, 0.0, False),
    "first answer": Phase(0.013, 0.01, 0.0, 0.0, False),
}
FACTS = {
    "runtime_mib": 500.0,
    "peak_memory_mib": 512.0,
    "modules": ["onnxruntime"],
    "is_steady": True,
    "is_narrow": True,
    "busy_cores": 0.99,
    "energy_mj": None,
    "energy_why": "no",
    "n_answers": 100,
    "n_different": 0,
    "phases": to_json(PHASES),
    "conditions": to_json(Conditions(1.0, 0.0, 0.0, 1, (1,), 0.0)),
}
MS = 1_000_000


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    for name in ("artifact.json", "a"):
        (tmp_path / name).write_bytes(b"0")
    return Artifact(tmp_path, artifact_facts(segment("a", mega_macs=2.0)))


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
        "answers": np.eye(3)[[0, 1, 2, 1]],
        "outputs": np.eye(3)[[[0, 1, 2, 1]]],
        **changed,
    }


REFERENCE = Reference(0.5 * MS, 0.1 * MS)


def made(artifact, samples, reference=REFERENCE, cores=(1,), **facts):
    task, scenario = task_named("classification"), scenario_named("single_stream")
    about = {"classes": ["a", "b", "c"]}
    subject = Subject(artifact, Variant(), scenario, Prices(3.6, 0, 0), task, about, TARGETS)
    return measured(samples, {**FACTS, **facts}, subject, Terms(True, cores, reference))


def test_measured_slow_machine_is_taken_out_and_both_times_are_kept(artifact):
    result, samples = made(artifact, raw(slowness=1.5))
    assert result.metrics["latency_ms"].value == pytest.approx(1.0)
    assert result.metrics["latency_mean_ms"].value == pytest.approx(1.0)
    assert result.metrics["cost_usd_per_million"].value == pytest.approx(1.0)
    assert result.observation.timing.raw_latency_ms.value == pytest.approx(1.5)
    assert result.observation.anchor.slowness == pytest.approx(1.5)
    assert result.observation.pulse.slowness == pytest.approx(1.5)
    assert result.observation.anchor.reference_ms == 0.5
    assert set(samples["latency_ns"]) == {MS}
    assert set(samples["latency_raw_ns"]) == {int(1.5 * MS)}
    assert result.invalid == ()


def test_measured_first_measurement_is_its_own_reference(artifact):
    result, _ = made(artifact, raw(slowness=1.5), reference=None)
    assert result.metrics["latency_ms"].value == pytest.approx(1.5)
    assert result.observation.anchor.reference_ms == pytest.approx(0.75)


def test_measured_first_anchor_is_its_own_reference_beside_a_pulse_that_is_known(artifact):
    result, _ = made(artifact, raw(slowness=1.5), reference=Reference(None, 0.1 * MS))
    assert result.metrics["latency_ms"].value == pytest.approx(1.0)
    assert result.observation.anchor.median_ms.value == result.observation.anchor.reference_ms == pytest.approx(0.75)
    assert result.observation.pulse.slowness == pytest.approx(1.5)


def test_measured_without_an_anchor_follows_the_pulse(artifact):
    result, _ = made(artifact, raw(slowness=1.5, has_anchor=False))
    assert result.metrics["latency_ms"].value == pytest.approx(1.0)
    assert result.observation.anchor is None
    assert result.observation.pulse.slowness == pytest.approx(1.5)


def test_measured_parts_of_memory_and_cold_start_add_up(artifact):
    result, _ = made(artifact, raw())
    memory = result.observation.memory_mib
    assert memory.peak == memory.runtime + memory.model == result.metrics["peak_memory_mib"].value
    assert memory.model == result.metrics["model_memory_mib"].value
    assert result.observation.cold_start_ms == ColdStart(20.0, 50.0, 40.0, 13.0)
    assert result.observation.cold_start_ms.total == result.metrics["cold_start_ms"].value == 123.0


@pytest.mark.parametrize(
    ("changed", "facts", "said"),
    [
        ({"stretch_processor_ns": np.full(21, 10 * MS)}, {}, "others had its core"),
        ({"stretch_wall_ns": np.array([20 * MS] * 20 + [320 * MS])}, {}, "gap"),
        ({}, {"n_different": 1}, "not those of the accuracy pass"),
        ({}, {"conditions": to_json(Conditions(1.0, 0.0, 0.0, 4, (1,), 0.0))}, "4 threads worked"),
        ({}, {"cores": (0,)}, "cores"),
        ({}, {"phases": to_json({**PHASES, "import": Phase(1.3, 0.9, 0.1, 0.0, True)})}, "its import has a gap"),
        (
            {},
            {"phases": to_json({**PHASES, "energy pass": Phase(1.3, 0.9, 0.3, 0.0, False)})},
            "its energy pass has a gap",
        ),
    ],
)
def test_measured_planted_fault_is_invalid_with_its_reason(artifact, changed, facts, said):
    result, _ = made(artifact, raw(**changed), **facts)
    assert any(said in reason for reason in result.invalid)
    assert result.metrics["latency_ms"].value is not None


@pytest.mark.parametrize("phase", ["memory pass", "warm-up"])
def test_measured_pause_where_no_time_is_stated_leaves_it_valid(artifact, phase):
    result, _ = made(artifact, raw(), phases=to_json({**PHASES, phase: Phase(1.3, 0.9, 0.1, 0.0, True)}))
    assert result.invalid == ()
    assert result.observation.phases[phase].was_stopped


@pytest.mark.parametrize(
    "facts",
    [
        {"runtime_mib": -1.0},
        {"energy_mj": -0.5},
        {"phases": {}},
        {"phases": to_json({**PHASES, "load": Phase(-1.0, 0.0, 0.0, 0.0, False)})},
    ],
)
def test_measured_impossible_number_of_a_probe_is_refused(artifact, facts):
    with pytest.raises(WorkerFailed, match="a number of at least 0 was expected"):
        made(artifact, raw(), **facts)


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"latency_raw_ns": np.full(200, 0)}, "invalid value", "latency_raw_ns is 0, expected times above 0"),
        ({"pulse_ns": np.full(33, -1)}, "invalid value", "pulse_ns is -1, expected times above 0"),
        ({"outputs": np.full((1, 4, 3), np.inf)}, "invalid value", "outputs that are not finite"),
        ({"latency_raw_ns": np.array([], dtype=np.int64)}, "bad result", r"shape \[0\]; expected q = at least 1"),
        ({"latency_window": np.zeros(199, dtype=np.int64)}, "bad result", r"shape \[199\]; expected q = 200"),
        ({"latency_window": np.repeat(np.arange(10), 20)[::-1]}, "bad result", "does not count upwards from 0"),
        ({"latency_exits": np.zeros((200, 2), dtype=np.int64)}, "bad result", r"shape \[200, 2\]; expected b = 1"),
        ({"exits": np.array([0, 0, 0, 1])}, "bad result", "exits that are not among the 1 exits"),
        ({"answers": np.eye(3)[[0]]}, "bad result", r"answers \[n, k\] of shape \[1, 3\]; expected n = 4"),
        ({"answers": np.zeros((4, 3), dtype=np.int64)}, "bad result", r"no answers \[n, k\]"),
        ({"outputs": np.zeros((1, 4, 5))}, "bad result", r"outputs \[e, n, k\] of shape \[1, 4, 5\]; expected k = 3"),
    ],
)
def test_measured_samples_that_no_probe_takes_are_refused(artifact, changed, kind, said):
    with pytest.raises(WorkerFailed, match=said) as failed:
        made(artifact, raw(**changed))
    assert failed.value.kind == kind


@pytest.mark.parametrize(
    "facts",
    [
        {"peak_memory_mib": None},
        {"peak_memory_mib": float("inf")},
        {"busy_cores": True},
        {"conditions": []},
        {"conditions": {"seconds": 1.0}},
        {"phases": {"load": {}}},
        {"phases": None},
        {"modules": "torch"},
        {"is_steady": None},
    ],
)
def test_measured_facts_of_another_kind_are_a_bad_result(artifact, facts):
    with pytest.raises(WorkerFailed, match="the probe") as failed:
        made(artifact, raw(), **facts)
    assert failed.value.kind == "bad result"


@pytest.fixture
def two_exits(tmp_path: Path) -> Artifact:
    for name in ("artifact.json", "a", "b"):
        (tmp_path / name).write_bytes(b"0")
    return Artifact(tmp_path, artifact_facts(segment("a", mega_macs=2.0), segment("b", mega_macs=6.0)))


def early(first: int) -> dict[str, np.ndarray]:
    """Two of four images and the `first` queries leave at the first exit."""
    outputs = np.eye(3)[[[0, 1, 1, 1], [0, 1, 2, 1]]]
    exits = np.array([0, 0, 1, 1])
    taken = (np.arange(200) >= first).astype(np.int64)[:, None]
    return raw(latency_exits=taken, exits=exits, outputs=outputs, answers=outputs[exits, np.arange(4)])


def test_measured_exits_have_shares_qualities_and_the_time_of_their_path(two_exits):
    result, samples = made(two_exits, early(50))
    exits = result.observation.exits
    assert [one.share for one in exits] == [0.5, 0.5]
    assert [one.quality for one in exits] == [0.5, 0.75]
    assert [one.latency_ms for one in exits] == [Estimate(1.0, 1.0, 1.0, 50), Estimate(1.0, 1.0, 1.0, 150)]
    assert [row[:2] for row in result.observation.sections[0].rows] == [("a", 0.5), ("b", 1.0), ("c", 1.0)]
    assert samples["score_accuracy"].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_measured_path_that_no_query_took_is_unknown(two_exits):
    result, _ = made(two_exits, early(0))
    assert result.observation.exits[0].latency_ms is None
