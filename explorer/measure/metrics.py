"""Raw samples and logits -> metrics, each with its value, its 95 % interval, and its n."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure import intervals
from explorer.measure.cost import Prices, cost
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact

Raw = Mapping[str, NDArray[Any]]


def metrics(
    raw: Raw, facts: Mapping[str, Any], labels: NDArray[np.int64], artifact: Artifact, variant: Variant, prices: Prices
) -> dict[str, Measurement]:
    """Every metric of INTERFACE, known or not.

    raw     latency_ns [q] of q queries, corrected; exits [n] and predictions [n] of n images
    facts   of the probe: cold_start_ms (its parts), peak_memory_mib, runtime_mib, energy_mj
    labels  [n]
    """
    latency_ms = raw["latency_ns"] / 1e6
    mean_ms = intervals.mean(latency_ms)
    peak = Measurement(float(facts["peak_memory_mib"]), n=1)
    return {
        "accuracy": intervals.share(int((raw["predictions"] == labels).sum()), len(labels)),
        "latency_ms": intervals.percentile(latency_ms, 50),
        "latency_mean_ms": mean_ms,
        "latency_p90_ms": intervals.percentile(latency_ms, 90),
        "latency_p95_ms": intervals.percentile(latency_ms, 95),
        "latency_p99_ms": intervals.percentile(latency_ms, 99),
        "throughput_per_s": _throughput(mean_ms, variant.batch_size),
        "cold_start_ms": Measurement(float(sum(facts["cold_start_ms"])), n=1),
        "peak_memory_mib": peak,
        "model_memory_mib": Measurement(float(facts["peak_memory_mib"] - facts["runtime_mib"]), n=1),
        "artifact_size_mib": Measurement(artifact.size_mib),
        "n_parameters": Measurement(float(artifact.facts["n_parameters"])),
        "mega_macs": _mega_macs(raw["exits"], artifact),
        "energy_mj": _energy(facts),
        "cost_usd_per_million": cost(prices, mean_ms, peak, variant.batch_size),
    }


def exit_details(raw: Raw, labels: NDArray[np.int64], artifact: Artifact, n_classes: int) -> dict[str, Any]:
    """Share of images an exit, accuracy an exit on all images, accuracy a class, times of each path; JSON-ready.

    With early exits the times of queries are a mixture of paths: a query's path ends at the last exit that one of its
    images took.
    """
    hits = raw["predictions"] == labels
    present = np.bincount(labels, minlength=n_classes)
    return {
        "exit_shares": (np.bincount(raw["exits"], minlength=artifact.n_exits) / len(labels)).tolist(),
        "exit_accuracies": (raw["logits"].argmax(axis=2) == labels).mean(axis=1).tolist(),
        "class_accuracies": (np.bincount(labels[hits], minlength=n_classes) / np.maximum(present, 1)).tolist(),
        "exit_latencies_ms": [_path(raw, exit_).to_json() for exit_ in range(artifact.n_exits)],
    }


def _path(raw: Raw, exit_: int) -> Measurement:
    times_ms = raw["latency_ns"][raw["latency_exits"].max(axis=1) == exit_] / 1e6
    return intervals.percentile(times_ms, 50) if len(times_ms) else Measurement.unknown("no timed query ended there")


def _throughput(mean_ms: Measurement, batch_size: int) -> Measurement:
    def rate(ms: float | None) -> float | None:
        return 1000 * batch_size / ms if ms is not None and ms > 0 else None

    return Measurement(rate(mean_ms.value), rate(mean_ms.high), rate(mean_ms.low), mean_ms.n)


def _mega_macs(exits: NDArray[np.int64], artifact: Artifact) -> Measurement:
    """An image pays for every segment up to the exit that it took."""
    cumulative = np.cumsum([segment["mega_macs"] for segment in artifact.facts["segments"]])
    if len(cumulative) == 1:
        return Measurement(float(cumulative[0]))
    return intervals.mean(cumulative[exits])


def _energy(facts: Mapping[str, Any]) -> Measurement:
    value = facts.get("energy_mj")
    return Measurement.unknown(str(facts.get("energy_why"))) if value is None else Measurement(float(value), n=1)
