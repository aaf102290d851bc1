"""Compute the metrics of a measurement from raw samples and outputs, each with its 95 % interval and n; and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.measure.scenarios.scenario import Scenario
from explorer.observation import Memory
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact
from explorer.tasks.task import Facts, Task

_S_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars: an hour of the hardware, an hour of a GiB of memory, everything else for a million examples."""

    hardware_usd_per_hour: float
    memory_usd_per_gib_hour: float
    other_usd_per_million: float

    def usd_per_million(self, latency_mean_ms: float, peak_memory_mib: float, batch_size: int) -> float:
        """Return the cost of a million examples, in consecutive queries of `batch_size` examples."""
        s_per_example = latency_mean_ms / 1000 / batch_size
        memory_usd_per_s = self.memory_usd_per_gib_hour / _S_PER_HOUR * peak_memory_mib / 1024
        return (
            1e6 * (self.hardware_usd_per_hour / _S_PER_HOUR + memory_usd_per_s) * s_per_example
            + self.other_usd_per_million
        )


def cost(prices: Prices, latency_mean_ms: Measurement, peak_memory_mib: Measurement, batch_size: int) -> Measurement:
    """Return the cost in US dollars for a million examples; its interval follows from the mean latency's alone."""

    def at(latency: float | None) -> float | None:
        if latency is None or peak_memory_mib.value is None:
            return None
        return prices.usd_per_million(latency, peak_memory_mib.value, batch_size)

    value = at(latency_mean_ms.value)
    if value is None:
        return Measurement.unknown("it needs the mean latency and the peak memory")
    return Measurement(value, at(latency_mean_ms.low), at(latency_mean_ms.high), latency_mean_ms.n)


Raw = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is measured: an artifact as a variant uses it in a scenario, on examples with `targets` [n], at prices."""

    artifact: Artifact
    variant: Variant
    scenario: Scenario
    prices: Prices
    task: Task
    task_facts: Facts
    targets: NDArray[Any]


def metrics(raw: Raw, cold_start_ms: float, memory: Memory, energy: Measurement, subject: Subject) -> dict[str, Any]:
    """Return every metric of task, scenario and process, known or not, by name.

    `raw` are the arrays of a probe: latency_ns [q], corrected; exits [n] and answers [n, k] of n examples.
    """
    artifact, variant = subject.artifact, subject.variant
    peak = Measurement(memory.process_peak, n=1)
    times = subject.scenario.measure(raw, variant)
    query_ms, n_examples = subject.scenario.query_time(times, variant)
    return {
        **subject.task.measure(raw["answers"], subject.targets),
        **times,
        "cold_start_ms": Measurement(cold_start_ms, n=1),
        "peak_memory_mib": peak,
        "model_memory_mib": Measurement(memory.model, n=1),
        "artifact_size_mib": Measurement(artifact.size_mib),
        "n_parameters": Measurement(float(artifact.facts.n_parameters)),
        "mega_macs": _mega_macs(raw["exits"], artifact),
        "energy_mj": energy,
        "cost_usd_per_million": cost(subject.prices, query_ms, peak, n_examples),
    }


def _mega_macs(exits: NDArray[np.int64], artifact: Artifact) -> Measurement:
    """Return the MACs (10^6) of an example: all segments up to the exit that it took."""
    cumulative = np.cumsum([segment.mega_macs for segment in artifact.facts.segments])
    if len(cumulative) == 1:
        return Measurement(float(cumulative[0]))
    return intervals.mean(cumulative[exits])
