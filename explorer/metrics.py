"""Metrics with unit, direction and bounds; objectives; constraints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Literal, final

Direction = Literal["minimize", "maximize"]
Origin = Literal["task", "timing", "memory", "count", "sensor", "derived"]
Comparison = Literal["<=", ">="]


@dataclass(frozen=True, slots=True)
class Metric:
    """All that is known of a measured number.

    name         the key in files and tables
    title        what views call it
    unit         its unit; "ratio" is shown in percent
    direction    the better direction
    bounds       the least and the largest value that any machine can measure: a query passes through Python and a
                 runtime, which take more than 100 ns; a process that has loaded NumPy takes over 1 ms and 1 MiB
    summary      one line about it
    origin       what gives it: the task, timed queries, the process's memory, counting, a sensor, or other metrics
    best         the value that no variant can exceed, for maximized metrics; None: there is none
    """

    name: str
    title: str
    unit: str
    direction: Direction
    bounds: tuple[float, float]
    summary: str
    origin: Origin = "task"
    best: float | None = None

    @property
    def ideal(self) -> float | None:
        """The value that no variant can be better than; None where there is none."""
        if self.direction == "maximize":
            return self.best
        return 0.0 if self.bounds[0] >= 0 else None


_QUERY_MS = (1e-4, 1e7)
_MIB = 2.0**30

# fmt: off
_OF_EVERY_TASK = (
    Metric("latency_ms", "latency", "ms", "minimize", _QUERY_MS,
           "median time of one single-stream query while the core is in its quiet state", "timing"),
    Metric("latency_experienced_ms", "experienced latency", "ms", "minimize", _QUERY_MS,
           "median time of one single-stream query in all states of the core", "timing"),
    Metric("latency_mean_ms", "mean latency", "ms", "minimize", _QUERY_MS, "mean time of one single-stream query",
           "timing"),
    Metric("latency_p90_ms", "p90 latency", "ms", "minimize", _QUERY_MS, "90th percentile of the query time", "timing"),
    Metric("latency_p95_ms", "p95 latency", "ms", "minimize", _QUERY_MS, "95th percentile of the query time", "timing"),
    Metric("latency_p99_ms", "p99 latency", "ms", "minimize", _QUERY_MS, "99th percentile of the query time", "timing"),
    Metric("throughput_per_s", "throughput", "1/s", "maximize", (1e-7, 1e12),
           "inputs a second, one query after the other", "timing"),
    Metric("cold_start_ms", "cold start", "ms", "minimize", (1, 1e7), "from starting the process to its first answer",
           "timing"),
    Metric("peak_memory_mib", "peak memory", "MiB", "minimize", (1, _MIB),
           "peak resident memory of the whole serving process", "memory"),
    Metric("model_memory_mib", "model memory", "MiB", "minimize", (0, _MIB),
           "resident memory that loading and running the artifact adds", "memory"),
    Metric("artifact_size_mib", "artifact size", "MiB", "minimize", (1e-6, _MIB), "size of the artifact's files",
           "count"),
    Metric("n_parameters", "parameters", "count", "minimize", (0, 1e15), "parameters of the network", "count"),
    Metric("mega_macs", "compute", "10^6 MACs", "minimize", (0, 1e12),
           "multiply-accumulates an input, as far as it is computed", "count"),
    Metric("energy_mj", "energy", "mJ", "minimize", (1e-9, 1e12), "processor energy an input", "sensor"),
    Metric("cost_usd_per_million", "cost", "USD", "minimize", (0, 1e12), "cost of a million inputs", "derived"),
)
# fmt: on


@final
class _Table(Mapping[str, Metric]):
    """Every metric by name: those of the registered tasks, which are loaded when they are first needed, then the rest.

    A task that does not load has none, and of two metrics of one name the first holds: the task with the other cannot
    be used (`explorer.tasks.task.task_named`).
    """

    def __init__(self, common: tuple[Metric, ...]) -> None:
        self._common = {metric.name: metric for metric in common}

    @cached_property
    def _all(self) -> Mapping[str, Metric]:
        usable, _ = import_module("explorer.tasks.task").survey()  # by name, since tasks are above this module
        found: dict[str, Metric] = {}
        for task in usable.values():
            for metric in task.metrics:
                found.setdefault(metric.name, metric)
        return {**found, **self._common}

    def __getitem__(self, name: str) -> Metric:
        return self._common.get(name) or self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


METRICS: Mapping[str, Metric] = _Table(_OF_EVERY_TASK)


def is_constant(name: str) -> bool:
    """Return whether another measurement of the same artifact repeats the metric exactly: of outputs or a count."""
    return name in METRICS and METRICS[name].origin in ("task", "count")


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and the direction in which the study optimizes it."""

    metric: str
    direction: Direction


def ideal_point(objectives: Sequence[Objective]) -> dict[str, float] | None:
    """Return the value of each objective that no variant can beat; None when one has none."""
    ideals = {o.metric: METRICS[o.metric].ideal if o.metric in METRICS else None for o in objectives}
    known = {name: ideal for name, ideal in ideals.items() if ideal is not None}
    return known if len(known) == len(ideals) else None


@dataclass(frozen=True, slots=True)
class Constraint:
    """A metric and its bound: `metric <= number`, or `metric >= number * baseline`.

    With `is_relative`, the bound is a multiple of the baseline's value of the same metric.
    """

    metric: str
    comparison: Comparison
    bound: float
    is_relative: bool = False

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.bound:g}{' * baseline' if self.is_relative else ''}"

    def limit(self, baseline: Mapping[str, float]) -> float:
        """Return the bound as a number. Raises KeyError if it is relative and the baseline lacks the metric."""
        return self.bound * baseline[self.metric] if self.is_relative else self.bound

    def violation(self, metrics: Mapping[str, float], baseline: Mapping[str, float]) -> float:
        """Return how far the metric exceeds the bound, in its unit: <= 0 if satisfied, inf if unknown."""
        value = metrics.get(self.metric)
        if value is None:
            return math.inf
        limit = self.limit(baseline)
        return value - limit if self.comparison == "<=" else limit - value
