"""Metrics from raw samples, against numbers made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import artifact_facts, segment

from explorer.measure.metrics import Prices, Subject, cost, metrics
from explorer.measure.quiet_state import FEWEST, Judged
from explorer.measure.scenarios.scenario import scenario_named
from explorer.measure.trace import AXES
from explorer.metrics import METRICS
from explorer.observation import Memory
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact
from explorer.tasks.task import task_named

TARGETS = np.array([0, 1, 2, 0])
MEMORY = Memory(512.0, 500.0, 12.0)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    for name, size in (("artifact.json", 2**19), ("a", 2**20), ("b", 2**19)):
        (tmp_path / name).write_bytes(b"\0" * size)
    segments = segment("a", mega_macs=2.0), segment("b", mega_macs=6.0)
    return Artifact(tmp_path, artifact_facts(*segments, n_parameters=1234))


def raw(n_queries: int = 700) -> dict[str, np.ndarray]:
    return {
        **{name: np.zeros(1) for name in AXES},
        "latency_raw_ns": 1.5e6 * np.arange(1, n_queries + 1),
        "latency_slice": np.zeros(n_queries),
        "latency_exits": (np.arange(n_queries) >= 100).astype(np.int64)[:, None],
        "exits": np.array([0, 0, 1, 1]),
        "answers": np.eye(3)[[0, 1, 2, 1]],
    }


def made(artifact: Artifact, **variant: object) -> dict[str, Measurement]:
    task, scenario = task_named("classification"), scenario_named("single_stream")
    prices, facts = Prices(3.6, 7.2, 0.25), {"classes": ["a", "b", "c"]}
    subject = Subject(artifact, Variant(**variant), scenario, prices, task, facts, TARGETS)
    samples = raw()
    times_ns = samples["latency_raw_ns"] / 1.5
    found = Judged(times_ns, np.ones(len(times_ns), dtype=np.bool_), np.ones(3), np.ones(FEWEST), 1.0, False, 0.0)
    return metrics(samples, found, 123.0, MEMORY, Measurement.unknown("no"), subject)


def test_metrics_every_name_of_the_interface_is_there(artifact):
    assert set(made(artifact)) == set(METRICS)


def test_metrics_hand_made_samples_give_hand_made_values(artifact):
    values = {name: m.value for name, m in made(artifact).items()}
    assert values["accuracy"] == 0.75
    assert values["latency_ms"] == pytest.approx(350.5)
    assert values["latency_mean_ms"] == pytest.approx(350.5)
    assert values["latency_experienced_ms"] == pytest.approx(1.5 * 350.5)
    assert values["latency_p90_ms"] == 630
    assert values["latency_p99_ms"] == 693
    assert values["cold_start_ms"] == pytest.approx(123.0)
    assert values["model_memory_mib"] == pytest.approx(12.0)
    assert values["throughput_per_s"] == pytest.approx(1000 / 350.5)
    assert values["artifact_size_mib"] == 2.0
    assert values["n_parameters"] == 1234
    assert values["mega_macs"] == pytest.approx((2 + 2 + 8 + 8) / 4)
    assert values["energy_mj"] is None
    # 0.001 $/s of hardware and 0.5 GiB at 0.002 $/s, for 0.3505 s an image, and 0.25 $
    assert values["cost_usd_per_million"] == pytest.approx(1e6 * (0.001 + 0.5 * 0.002) * 0.3505 + 0.25)


def test_metrics_batch_divides_the_time_of_an_image(artifact):
    values = {name: m.value for name, m in made(artifact, batch_size=10).items()}
    assert values["throughput_per_s"] == pytest.approx(10_000 / 350.5)
    assert values["cost_usd_per_million"] == pytest.approx(1e6 * 0.002 * 0.03505 + 0.25)


def test_cost_interval_follows_the_latency():
    made = cost(Prices(3.6, 0, 0), Measurement(1.0, 0.9, 1.1, 50), Measurement(100.0, n=1), 1)
    assert (made.low, made.value, made.high, made.n) == (pytest.approx(0.9), pytest.approx(1.0), pytest.approx(1.1), 50)


def test_cost_unknown_memory_is_unknown_not_zero():
    assert cost(Prices(1, 1, 0), Measurement(1.0), Measurement.unknown("lost"), 1).value is None
