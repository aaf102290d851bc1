"""Metrics from raw samples, against numbers made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explorer.measure.cost import Prices, cost
from explorer.measure.metrics import exit_details, metrics
from explorer.objectives import METRICS
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact

LABELS = np.array([0, 1, 2, 0])
FACTS = {
    "cold_start_ms": [20.0, 50.0, 40.0, 13.0],
    "peak_memory_mib": 512.0,
    "runtime_mib": 500.0,
    "energy_mj": None,
    "energy_why": "no",
}


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    for name, size in (("artifact.json", 2**19), ("a", 2**20), ("b", 2**19)):
        (tmp_path / name).write_bytes(b"\0" * size)
    segments = [{"file": "a", "mega_macs": 2.0}, {"file": "b", "mega_macs": 6.0}]
    return Artifact(tmp_path, {"n_parameters": 1234, "segments": segments})


def raw(n_queries: int = 700) -> dict[str, np.ndarray]:
    return {
        "latency_ns": np.arange(1, n_queries + 1) * 1_000_000,
        "latency_exits": (np.arange(n_queries) >= 100).astype(np.int64)[:, None],
        "exits": np.array([0, 0, 1, 1]),
        "predictions": np.array([0, 1, 2, 1]),
        "logits": np.eye(3)[np.array([[0, 1, 1, 1], [0, 1, 2, 1]])],
    }


def made(artifact: Artifact, **variant: object) -> dict[str, Measurement]:
    return metrics(raw(), FACTS, LABELS, artifact, Variant(**variant), Prices(3.6, 7.2, 0.25))


def test_metrics_every_name_of_the_interface_is_there(artifact):
    assert set(made(artifact)) == set(METRICS)


def test_metrics_hand_made_samples_give_hand_made_values(artifact):
    values = {name: m.value for name, m in made(artifact).items()}
    assert values["accuracy"] == 0.75
    assert values["latency_ms"] == pytest.approx(350.5)
    assert values["latency_mean_ms"] == pytest.approx(350.5)
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


def test_exit_details_shares_and_accuracies(artifact):
    details = exit_details(raw(), LABELS, artifact, 3)
    assert details["exit_shares"] == [0.5, 0.5]
    assert details["exit_accuracies"] == [0.5, 0.75]
    assert details["class_accuracies"] == [0.5, 1.0, 1.0]
    assert [path["value"] for path in details["exit_latencies_ms"]] == [50.5, 400.5]
    assert [path["n"] for path in details["exit_latencies_ms"]] == [100, 600]


def test_exit_details_path_that_no_query_took_is_unknown(artifact):
    taken = {**raw(), "latency_exits": np.ones((700, 1), dtype=np.int64)}
    details = exit_details(taken, LABELS, artifact, 3)
    assert details["exit_latencies_ms"][0] == {"value": None, "why": "no timed query ended there"}
