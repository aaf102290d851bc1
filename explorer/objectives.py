"""Metrics with unit and direction, objectives, constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]
Comparison = Literal["<=", ">="]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured number: its name, unit, the better direction, and one line about it."""

    name: str
    unit: str
    direction: Direction
    summary: str


_ALL = (
    Metric("accuracy", "ratio", "maximize", "share of images classified correctly"),
    Metric("latency_ms", "ms", "minimize", "median time of one single-stream query"),
    Metric("latency_mean_ms", "ms", "minimize", "mean time of one single-stream query"),
    Metric("latency_p90_ms", "ms", "minimize", "90th percentile of the query time"),
    Metric("latency_p95_ms", "ms", "minimize", "95th percentile of the query time"),
    Metric("latency_p99_ms", "ms", "minimize", "99th percentile of the query time"),
    Metric("throughput_per_s", "1/s", "maximize", "images a second, one query after the other"),
    Metric("cold_start_ms", "ms", "minimize", "from starting the process to its first answer"),
    Metric("peak_memory_mib", "MiB", "minimize", "peak resident memory of the whole serving process"),
    Metric("model_memory_mib", "MiB", "minimize", "resident memory that loading and running the artifact adds"),
    Metric("artifact_size_mib", "MiB", "minimize", "size of the artifact's files"),
    Metric("n_parameters", "count", "minimize", "parameters of the network"),
    Metric("mega_macs", "10^6 MACs", "minimize", "multiply-accumulates an image, early exits as they happen"),
    Metric("energy_mj", "mJ", "minimize", "processor energy an image"),
    Metric("cost_usd_per_million", "USD", "minimize", "cost of classifying a million images"),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and the direction in which the study pushes it."""

    metric: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class Constraint:
    """A metric and its bound: `metric <= number`, or `metric >= number * baseline`.

    With `is_relative` the bound is `bound` times the baseline's value of the same metric.
    """

    metric: str
    comparison: Comparison
    bound: float
    is_relative: bool = False

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.bound:g}{' * baseline' if self.is_relative else ''}"

    def limit(self, baseline: Mapping[str, float]) -> float:
        """The bound as a number. Raises KeyError if it is relative and the baseline lacks the metric."""
        return self.bound * baseline[self.metric] if self.is_relative else self.bound

    def violation(self, metrics: Mapping[str, float], baseline: Mapping[str, float]) -> float:
        """How far `metrics` is beyond the bound, in the metric's unit: <= 0 when it holds, inf when it is not known."""
        value = metrics.get(self.metric)
        if value is None:
            return math.inf
        limit = self.limit(baseline)
        return value - limit if self.comparison == "<=" else limit - value
