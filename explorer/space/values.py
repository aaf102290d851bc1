"""A search space as frozen values: parameters, objectives, constraints, data, search, device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from explorer.metrics import Constraint, Objective
from explorer.parameters import PARAMETERS, ParameterSpec, Value
from explorer.records import Variant
from explorer.space.input_spec import InputSpec
from explorer.tasks.task import DEFAULT_TASK

DEFAULT_SCENARIO = "single_stream"


@dataclass(frozen=True, slots=True)
class FamilyTraits:
    """What a model family offers: its parameters, its training recipes, and data sets that it has trained weights for.

    The recipes are for `tasks`; the weights for the data sets in `shipped` come with the family's package.
    """

    parameters: tuple[ParameterSpec, ...]
    recipes: tuple[str, ...] = ()
    shipped: tuple[str, ...] = ()
    tasks: tuple[str, ...] = (DEFAULT_TASK,)


SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that a search space may use, taken from the registries, which this room does not import.

    `own` are the traits of a user's own network, and `parameters` those of every model. `runtimes` maps each runtime to
    the quantizations that it can execute, `runtime_parameters` and `scenarios` each runtime and scenario to the
    parameters that it alone adds. `faults` maps the name of another field to plugins that cannot be used, and why not.
    """

    datasets: tuple[str, ...]
    families: Mapping[str, FamilyTraits]
    own: FamilyTraits
    parameters: tuple[ParameterSpec, ...]
    runtimes: Mapping[str, frozenset[str]]
    samplers: tuple[str, ...]
    scenarios: Mapping[str, tuple[ParameterSpec, ...]] = field(default_factory=lambda: {DEFAULT_SCENARIO: ()})
    runtime_parameters: Mapping[str, tuple[ParameterSpec, ...]] = field(default_factory=dict)
    faults: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def is_supported(self, runtime: str, quantization: str) -> bool:
        """Return whether `runtime` can execute networks of that quantization."""
        return quantization in self.runtimes[runtime]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter and its allowed values; numbers are ascending. With one value the parameter is fixed.

    A parameter that is chosen per stage has only tuples for values.
    """

    name: str
    values: tuple[Value, ...]

    @property
    def is_fixed(self) -> bool:
        """Whether there is only one value."""
        return len(self.values) == 1

    @property
    def is_ordered(self) -> bool:
        """Whether the values are numbers."""
        return all(isinstance(value, int | float) for value in self.values)


_DEFAULT_CALIBRATION = {"digits": 128, "cluttered_digits": 256}


def default_calibration(dataset: str) -> int:
    """Return how many training examples calibrate quantization by default; fewer where a data set has not as many."""
    return _DEFAULT_CALIBRATION.get(dataset, 512)


@dataclass(frozen=True, slots=True)
class DataSettings:
    """The data set: `path` (image_folder) is relative to the data root; counts are images."""

    name: str
    validation: int
    calibration: int
    path: str | None = None


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The sampler, and the stopping rule: after `n_trials` trials or `timeout_s` seconds (None: no limit)."""

    sampler: str
    n_trials: int
    timeout_s: float | None
    seed: int


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """How long a latency is measured.

    precision   the distance of the median to the ends of its interval at which a measurement ends, as a ratio
    at_most_s   seconds that one measurement may take; a quarter of it where it does not get the whole budget
    """

    precision: float = 0.01
    at_most_s: float = 20.0


DEFAULT_MEASURE = MeasureSettings()


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """The device and its prices in US dollars."""

    name: str
    hardware_usd_per_hour: float
    memory_usd_per_gib_hour: float
    other_usd_per_million: float


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """A checked search space. `parameters` has every parameter of the model, fixed ones too.

    `recipe` is "" where nothing is trained: for a user's own network, and for shipped weights. `recovery_steps` follow
    the pruning of a variant. `input` is the normalization of a user's own network; None for a family, which normalizes
    by its training images. `task` is what is asked of the network.
    """

    name: str
    model: str
    recipe: str
    recovery_steps: int
    data: DataSettings
    parameters: Mapping[str, Parameter]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    search: SearchSettings
    device: DeviceSettings
    input: InputSpec | None = None
    task: str = DEFAULT_TASK
    scenario: str = DEFAULT_SCENARIO
    measure: MeasureSettings = DEFAULT_MEASURE

    @property
    def is_shipped(self) -> bool:
        """Whether the weights are those that come with the package."""
        return not self.recipe and ":" not in self.model

    def execution_names(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """Return `runtime`, `quantization`, and the parameters of single runtimes."""
        runtimes = self.parameters["runtime"].values
        own = (spec.name for runtime in runtimes for spec in vocabulary.runtime_parameters.get(str(runtime), ()))
        return ("runtime", "quantization", *dict.fromkeys(own))

    def executions(self, vocabulary: Vocabulary) -> tuple[tuple[Value, ...], ...]:
        """Return the values of `execution_names` that the runtimes can execute, in the file's order.

        A parameter of another runtime has its baseline value.
        """
        names, found = self.execution_names(vocabulary), []
        for runtime, quantization in product(*(self.parameters[name].values for name in names[:2])):
            if vocabulary.is_supported(str(runtime), str(quantization)):
                own = {spec.name for spec in vocabulary.runtime_parameters.get(str(runtime), ())}
                others = [
                    self.parameters[name].values if name in own else (PARAMETERS[name].baseline,) for name in names[2:]
                ]
                found += [(runtime, quantization, *values) for values in product(*others)]
        return tuple(found)

    def n_variants(self, vocabulary: Vocabulary) -> int:
        """Return the number of variants in the space."""
        names = self.execution_names(vocabulary)
        others = (len(p.values) for name, p in self.parameters.items() if name not in names)
        return math.prod(others) * len(self.executions(vocabulary))

    def baseline(self) -> Variant:
        """Return the variant with every parameter at its baseline value, and the smallest load of the space.

        The load is the parameters of the phase "run": batch size and threads.
        """
        specs = {name: PARAMETERS[name] for name in self.parameters}
        return Variant(
            {
                name: min(self.parameters[name].values) if spec.phase == "run" else spec.baseline
                for name, spec in specs.items()
            }
        )
