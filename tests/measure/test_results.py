"""Results from raw samples made by hand: which slices count, what was experienced, what is not valid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import artifact_facts, segment

from explorer.measure.metrics import Prices, Subject
from explorer.measure.quiet_state import BETWEEN_PROCESSES
from explorer.measure.results import Terms, measured, rejudged
from explorer.measure.scenarios.scenario import scenario_named
from explorer.observation import ColdStart, Conditions, Estimate, Phase
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.task import task_named
from explorer.typed_json import to_json

TARGETS = np.array([0, 1, 2, 0])
STRETCHES = ("stretch_wall_ns", "stretch_processor_ns")
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


LEVEL_NS = np.array([0.1, 0.05, 0.05]) * MS


def raw(slowness: float = 1.0, **changed: np.ndarray) -> dict[str, np.ndarray]:
    """Ten slices of twenty queries of 1 ms; the last five are slower, as is the anchor beside them."""
    n_slices, n = 10, 20
    state = np.where(np.arange(n_slices + 1) > 5, slowness, 1.0)
    return {
        "latency_raw_ns": np.repeat((state[1:] * MS).astype(np.int64), n),
        "latency_slice": np.repeat(np.arange(n_slices), n),
        "latency_exits": np.zeros((n_slices * n, 1), dtype=np.int64),
        "anchor_ns": np.repeat((state[:, None] * LEVEL_NS).astype(np.int64), 5, axis=0),
        "anchor_slice": np.repeat(np.arange(n_slices + 1), 5),
        "stretch_wall_ns": np.full(21, 20 * MS),
        "stretch_processor_ns": np.full(21, 20 * MS),
        "exits": np.zeros(4, dtype=np.int64),
        "answers": np.eye(3)[[0, 1, 2, 1]],
        "outputs": np.eye(3)[[[0, 1, 2, 1]]],
        **changed,
    }


def subject_of(artifact):
    task, scenario = task_named("classification"), scenario_named("single_stream")
    return Subject(artifact, Variant(), scenario, Prices(3.6, 0, 0), task, {"classes": ["a", "b", "c"]}, TARGETS)


def made(artifact, samples, cores=(1,), level=LEVEL_NS, **facts):
    terms = Terms(True, cores, lambda medians_ns: level)
    return measured(samples, {**FACTS, **facts}, subject_of(artifact), terms)


def test_measured_slow_slices_do_not_count_and_were_experienced(artifact):
    result, samples = made(artifact, raw(slowness=1.5))
    assert result.metrics["latency_ms"].value == pytest.approx(1.0)
    assert result.metrics["latency_ms"].n == 100
    assert result.metrics["latency_mean_ms"].value == pytest.approx(1.0)
    assert result.metrics["cost_usd_per_million"].value == pytest.approx(1.0)
    assert result.metrics["latency_experienced_ms"].value == pytest.approx(1.25)
    assert result.observation.anchor.quiet_ratio == 0.5
    assert result.observation.anchor.slowness == pytest.approx(1.25)
    assert result.observation.anchor.level_ms == pytest.approx((0.1, 0.05, 0.05))
    assert result.observation.anchor.excess == 0.0
    assert samples["latency_counts"].tolist() == [1] * 100 + [0] * 100
    assert set(samples["latency_ns"][:100]) == {MS}
    assert result.invalid == ()


def test_measured_interval_has_what_differs_between_processes(artifact):
    measured = made(artifact, raw())[0].metrics["latency_ms"]
    assert measured.high - measured.low == pytest.approx(2 * 1.96 * 2**0.5 * BETWEEN_PROCESSES, rel=0.01)


def test_measured_nothing_quiet_is_corrected_and_known_less_well(artifact):
    result, _ = made(artifact, raw(), level=LEVEL_NS / 1.25)
    assert result.metrics["latency_ms"].value == pytest.approx(0.8)
    assert result.metrics["latency_ms"].high - result.metrics["latency_ms"].low > 0.2 * 0.8
    assert result.observation.anchor.excess == pytest.approx(0.25)
    assert result.observation.anchor.quiet_ratio == 0.0
    assert result.observation.timing.interval_ratio is None
    assert result.metrics["latency_experienced_ms"].value == pytest.approx(1.0)


def test_rejudged_by_a_lower_level_changes_times_and_costs_alone(artifact):
    first, samples = made(artifact, raw(slowness=1.25), level=1.25 * LEVEL_NS)
    assert first.metrics["latency_ms"].value == pytest.approx(1.25)
    again, arrays = rejudged(samples, first, subject_of(artifact), LEVEL_NS)
    fresh, expected = made(artifact, raw(slowness=1.25))
    assert again.metrics == fresh.metrics
    assert again.observation.anchor == fresh.observation.anchor
    assert again.observation.exits == fresh.observation.exits
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
    assert again.reasons == first.reasons


def test_measured_parts_of_memory_and_cold_start_add_up(artifact):
    result, _ = made(artifact, raw())
    memory = result.observation.memory_mib
    assert memory.process_peak == memory.runtime + memory.model == result.metrics["peak_memory_mib"].value
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
        ({"anchor_ns": np.full((55, 3), -1)}, "invalid value", "anchor_ns is -1, expected times above 0"),
        ({"anchor_ns": np.full((55, 2), MS)}, "bad result", r"shape \[55, 2\]; expected p = 3"),
        ({"stretch_wall_ns": np.full(21, 0)}, "invalid value", "stretch_wall_ns is 0, expected times above 0"),
        (
            {"stretch_wall_ns": np.full(20, MS), "stretch_processor_ns": np.full(20, MS)},
            "bad result",
            "do not lie between",
        ),
        ({"anchor_slice": np.repeat(np.arange(5), 11)}, "bad result", "do not lie between two of the anchor's"),
        ({"anchor_slice": 2 * np.repeat(np.arange(11), 5)}, "bad result", "do not lie between two of the anchor's"),
        ({"outputs": np.full((1, 4, 3), np.inf)}, "invalid value", "outputs that are not finite"),
        ({"latency_raw_ns": np.array([], dtype=np.int64)}, "bad result", r"shape \[0\]; expected q = at least 1"),
        ({"latency_slice": np.zeros(199, dtype=np.int64)}, "bad result", r"shape \[199\]; expected q = 200"),
        ({"latency_slice": np.repeat(np.arange(10), 20)[::-1]}, "bad result", "does not count upwards from 0"),
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
