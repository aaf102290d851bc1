"""Compute the metrics of a measurement from raw samples and outputs, each with its 95 % interval and n; and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.measure.quiet_state import Judged, for_later
from explorer.measure.scenarios.scenario import Scenario
from explorer.measure.trace import AXES
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

    if latency_mean_ms.value is None or (peak := peak_memory_mib.value) is None:
        return Measurement.unknown("it needs the mean latency and the peak memory")
    ends = (latency_mean_ms.value, latency_mean_ms.low, latency_mean_ms.high)
    value, low, high = (None if ms is None else prices.usd_per_million(ms, peak, batch_size) for ms in ends)
    return Measurement(value, low, high, latency_mean_ms.n)


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


def timing_metrics(raw: Raw, found: Judged, memory: Measurement, subject: Subject) -> dict[str, Measurement]:
    """Return the metrics of time and cost, of the queries that count; and the median of all, as it was experienced.

    `raw` are a probe's arrays [...], `memory` its peak. The intervals of the former hold the value of a later process.
    """
    times = subject.scenario.measure(counted(raw, found, subject.scenario), subject.variant)
    times = {name: for_later(measured, found) for name, measured in times.items()}
    times |= subject.scenario.derived(times, subject.variant)
    query_ms, n_examples = subject.scenario.query_time(times, subject.variant)
    return {
        **times,
        "latency_experienced_ms": intervals.percentile(raw["latency_raw_ns"] / 1e6, 50),
        "cost_usd_per_million": cost(subject.prices, query_ms, memory, n_examples),
    }


def counted(raw: Raw, found: Judged, scenario: Scenario) -> dict[str, NDArray[Any]]:
    """Return the arrays of a scenario [q, ...] of the queries that count alone, and `latency_ns` [q] of these."""
    axes = {**AXES, **scenario.axes}
    of_queries = {name: raw[name][found.counts] for name, of in axes.items() if of.startswith("q")}
    others = {name: raw[name] for name, of in axes.items() if not of.startswith("q")}
    return {**others, **of_queries, "latency_ns": np.rint(found.latency_ns[found.counts]).astype(np.int64)}


def metrics(
    raw: Raw, found: Judged, cold_start_ms: float, memory: Memory, energy: Measurement, subject: Subject
) -> dict[str, Measurement]:
    """Return every metric of task, scenario and process, known or not, by name.

    `raw` are the arrays of a probe, among them exits [n] and answers [n, k] of n examples.
    """
    peak = Measurement(memory.process_peak, n=1)
    return {
        **subject.task.measure(raw["answers"], subject.targets),
        **timing_metrics(raw, found, peak, subject),
        "cold_start_ms": Measurement(cold_start_ms, n=1),
        "peak_memory_mib": peak,
        "model_memory_mib": Measurement(memory.model, n=1),
        "artifact_size_mib": Measurement(subject.artifact.size_mib),
        "n_parameters": Measurement(float(subject.artifact.facts.n_parameters)),
        "mega_macs": _mega_macs(raw["exits"], subject.artifact),
        "energy_mj": energy,
    }


def _mega_macs(exits: NDArray[np.int64], artifact: Artifact) -> Measurement:
    """Return the MACs (10^6) of an example: all segments up to the exit that it took."""
    cumulative = np.cumsum([segment.mega_macs for segment in artifact.facts.segments])
    if len(cumulative) == 1:
        return Measurement(float(cumulative[0]))
    return intervals.mean(cumulative[exits])
