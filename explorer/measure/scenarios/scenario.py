"""The Scenario interface: how load arrives, what is recorded meanwhile, and which metrics follow from it.

Everything else about a measurement is the same for all of them: cold start, memory, validity, and quality.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure.outputs import Outputs
from explorer.measure.timing import Budget
from explorer.metrics import Metric
from explorer.parameters import ParameterSpec, check_specs, require_agreement
from explorer.records import Measurement, Variant
from explorer.runtimes.staged import Array, StagedExecutor
from explorer.system.plugins import Registry

SCENARIOS = Registry("scenarios", {"single_stream": "explorer.measure.scenarios.single_stream:SingleStream"})

Arrays = Mapping[str, NDArray[Any]]


def scenario_named(name: str) -> Scenario:
    """Return the scenario of that name.

    Raises KeyError for a name that is not registered, NotAvailable for a plugin that does not load, or has a parameter
    that contradicts another of its name.
    """
    scenario = _made(name)
    require_agreement(f"the scenario {name!r} of the package {SCENARIOS.package(name)}", scenario.parameters)
    return scenario


def _made(name: str) -> Scenario:
    return SCENARIOS.make(name, Scenario, lambda made: check_specs(made.parameters))  # type: ignore[type-abstract]


def declared() -> Iterator[tuple[ParameterSpec, bool]]:
    """Yield the parameters of every scenario that loads, and whether the scenario is built in."""
    for name, scenario in SCENARIOS.survey(_made)[0].items():
        yield from ((spec, SCENARIOS.is_built_in(name)) for spec in scenario.parameters)


def foreign_parameters(scenario: str) -> frozenset[str]:
    """Return the names of the parameters that only other scenarios have. Raises KeyError, NotAvailable."""
    own = {spec.name for spec in scenario_named(scenario).parameters}
    return frozenset(spec.name for spec, _ in declared() if spec.name not in own)


class Load(ABC):
    """The load on one artifact, in the probe. Every load takes the same seeded order of examples."""

    @abstractmethod
    def warm_up(self) -> bool:
        """Run untimed until the times are steady; return whether they ever were."""

    @abstractmethod
    def run(self, budget: Budget, level_ns: NDArray[np.float64] | None = None) -> bool:
        """Time until the budget is met or used up; return whether it is met. A further call adds to what is timed.

        `level_ns` [p] is the quiet level of the anchor's parts, as far as it is known.
        """

    @abstractmethod
    def recorded(self) -> Arrays:
        """Return what was timed: the arrays [q] of `measure.trace.Trace.to_arrays`, and those of `Scenario.axes`."""

    @abstractmethod
    def compared(self, expected: Outputs) -> dict[str, int]:
        """Return `n_answers`, given while timing, and `n_different`, how many of them differ from the expected."""

    @abstractmethod
    def energy(self) -> dict[str, Any]:
        """Return `energy_mj` of an example, or None and the reason in `energy_why`."""


class Scenario(ABC):
    """How load arrives. Importing its module imports NumPy at most; it is stateless.

    name        as in a search space and in the registry
    parameters  the parameters that it adds to a variant
    metrics     the metrics that follow from what it records
    axes        the axes, a letter each, of the arrays of whole numbers that it records beside a trace: q, timed
                queries; others are its own, and `sizes` states those that a variant determines
    """

    name: str
    parameters: tuple[ParameterSpec, ...]
    metrics: tuple[Metric, ...]
    axes: Mapping[str, str]

    @abstractmethod
    def sizes(self, variant: Variant) -> Mapping[str, int]:
        """Return the lengths of its axes that the variant determines."""

    @abstractmethod
    def load(self, executor: StagedExecutor, inputs: Array, variant: Variant) -> Load:
        """Return the load of a variant on inputs [n, ...]."""

    @abstractmethod
    def measure(self, arrays: Arrays, variant: Variant) -> dict[str, Measurement]:
        """Return its metrics, from the recorded arrays [...] and `latency_ns` [q], of the queries that count."""

    def derived(self, metrics: Mapping[str, Measurement], variant: Variant) -> dict[str, Measurement]:
        """Return the metrics that follow from those of `measure`, whose intervals hold for a later process by then."""
        return {}

    @abstractmethod
    def query_time(self, metrics: Mapping[str, Measurement], variant: Variant) -> tuple[Measurement, int]:
        """Return the mean time in ms of a query that costs are computed from, and how many examples it has."""

    @abstractmethod
    def exit_times(self, arrays: Arrays, n_exits: int) -> list[NDArray[Any]]:
        """Return for each exit the times [q] in ms of the queries that count and whose last example left there."""
