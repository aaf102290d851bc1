"""The single-stream scenario: one query after the other, over real examples in a fixed order. Imports NumPy alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.measure.energy import EnergyCounter
from explorer.measure.outputs import Outputs, n_different
from explorer.measure.scenarios.scenario import Arrays, Load, Scenario
from explorer.measure.timing import Budget, Timer
from explorer.metrics import METRICS
from explorer.parameters import LARGEST_WHOLE, Numbers, ParameterSpec
from explorer.records import Measurement, Variant
from explorer.runtimes.staged import Array, StagedExecutor

_ENERGY_S = 1.0
_ORDER_SEED = 0
_TIMED_EXAMPLES = 2048
_PERCENTILES = {"latency_ms": 50, "latency_p90_ms": 90, "latency_p95_ms": 95, "latency_p99_ms": 99}
_METRICS = ("latency_ms", "latency_mean_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "throughput_per_s")


@final
class SingleStreamLoad(Load):
    """Queries over real examples, one after the other, and their answers."""

    def __init__(self, executor: StagedExecutor, inputs: Array, batch: int) -> None:
        order = np.random.default_rng(_ORDER_SEED).permutation(len(inputs))
        n_queries = max(1, min(len(order), _TIMED_EXAMPLES) // batch)
        self._which: NDArray[np.int64] = np.resize(order, (n_queries, batch))
        self._executor = executor
        self._exits: list[NDArray[np.int64]] = []
        self._answers: list[Array] = []
        shuffled = inputs[self._which]
        self._ask: Callable[[int], tuple[Array, Array]] = lambda n: executor.classify(shuffled[n])
        self._timer = Timer(self._ask, len(shuffled), self._record)

    def _record(self, n: int, made: tuple[Array, Array]) -> None:
        answers, exits = made
        self._exits.append(exits)
        self._answers.append(answers.copy())

    def warm_up(self) -> bool:
        """Repeat the same few queries until their times agree; return whether they ever did."""
        return self._timer.warm_up()

    def run(self, budget: Budget, level_ns: NDArray[np.float64] | None = None) -> bool:
        """Time queries until the budget is met or used up; `level_ns` [p] is the anchor's; return whether it is met."""
        return self._timer.run(budget, level_ns)

    def recorded(self) -> dict[str, NDArray[Any]]:
        """Return the times as `measure.trace.Trace.to_arrays` does, and the exits [q, b] of each timed query."""
        return {**self._timer.trace().to_arrays(), "latency_exits": np.stack(self._exits)}

    def compared(self, expected: Outputs) -> dict[str, int]:
        """Return how many answers were given while timing, and how many of them differ from the expected ones."""
        answers, exits = np.concatenate(self._answers), np.concatenate(self._exits)
        which = self._which[np.arange(len(self._answers)) % len(self._which)].ravel()
        return {"n_answers": len(which), "n_different": n_different(answers, exits, which, expected, self._executor)}

    def energy(self) -> dict[str, Any]:
        """Return the energy of an example in mJ, over a second without the anchor; None and a reason if unavailable."""
        counter = EnergyCounter.open()
        if counter.why is not None:
            return {"energy_mj": None, "energy_why": counter.why}
        until, n = time.perf_counter() + _ENERGY_S, 0
        try:
            before = counter.read_uj()
            while time.perf_counter() < until:
                self._ask(n % len(self._which))
                n += 1
            used_uj = counter.used_uj(before)
        except OSError as error:
            return {"energy_mj": None, "energy_why": f"the energy counters cannot be read any more: {error}"}
        if used_uj is None:
            return {"energy_mj": None, "energy_why": "the energy counters stand still"}
        return {"energy_mj": used_uj / 1e3 / (n * self._which.shape[1]), "energy_why": None}


@final
class SingleStream(Scenario):
    """One query of `batch_size` examples after the other, without waiting."""

    name = "single_stream"
    parameters = (
        ParameterSpec(
            name="batch_size",
            phase="run",
            baseline=1,
            allowed=Numbers(1, 1024, is_whole=True),
            title="batch",
            summary="Examples in one query.",
            example="1",
        ),
        ParameterSpec(
            name="threads",
            phase="run",
            baseline=1,
            allowed=Numbers(1, LARGEST_WHOLE, is_whole=True),
            summary="Threads of the runtime, and cores that the process is pinned to while it is measured.",
            example="1",
            has_core=True,
        ),
    )
    metrics = tuple(METRICS[name] for name in _METRICS)
    axes = MappingProxyType({"latency_exits": "qb"})

    def sizes(self, variant: Variant) -> dict[str, int]:
        """Return b, the examples of a query."""
        return {"b": variant["batch_size"]}

    def load(self, executor: StagedExecutor, inputs: Array, variant: Variant) -> SingleStreamLoad:
        """Return the queries of a variant over inputs [n, ...]."""
        return SingleStreamLoad(executor, inputs, variant["batch_size"])

    def measure(self, arrays: Arrays, variant: Variant) -> dict[str, Measurement]:
        """Return mean and percentiles of the times `latency_ns` [q]."""
        latency_ms = arrays["latency_ns"] / 1e6
        made = {name: intervals.percentile(latency_ms, percent) for name, percent in _PERCENTILES.items()}
        return {**made, "latency_mean_ms": intervals.mean(latency_ms)}

    def derived(self, metrics: Mapping[str, Measurement], variant: Variant) -> dict[str, Measurement]:
        """Return the examples per second, from the mean latency."""
        return {"throughput_per_s": throughput(metrics["latency_mean_ms"], variant["batch_size"])}

    def query_time(self, metrics: Mapping[str, Measurement], variant: Variant) -> tuple[Measurement, int]:
        """Return the mean latency and the batch size."""
        return metrics["latency_mean_ms"], variant["batch_size"]

    def exit_times(self, arrays: Arrays, n_exits: int) -> list[NDArray[Any]]:
        """Return the times by the last exit that one of a query's examples took; `latency_exits` is [q, b]."""
        last = arrays["latency_exits"].max(axis=1)
        return [arrays["latency_ns"][last == number] / 1e6 for number in range(n_exits)]


def throughput(mean_ms: Measurement, batch_size: int) -> Measurement:
    """Return examples per second of consecutive queries of `batch_size` examples."""

    def rate(ms: float | None) -> float | None:
        return 1000 * batch_size / ms if ms is not None and ms > 0 else None

    return Measurement(rate(mean_ms.value), rate(mean_ms.high), rate(mean_ms.low), mean_ms.n)
