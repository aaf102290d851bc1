"""A search space as frozen values: what may be chosen, what is wanted, on which device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from explorer.objectives import Constraint, Objective
from explorer.records import Variant, Width


@dataclass(frozen=True, slots=True)
class FamilyTraits:
    """What a model family can vary: without widths only `width: 1.0`, without exits only `exit_threshold: 1.0`.

    `recipes` are ways to train it; for the data sets in `shipped`, trained weights come with the package.
    """

    min_width: float
    n_stages: int
    has_exits: bool
    recipes: tuple[str, ...]
    shipped: tuple[str, ...] = ()


OWN_NETWORK_TRAITS = FamilyTraits(min_width=1.0, n_stages=1, has_exits=False, recipes=())

SHIPPED = "shipped"

QUANTIZATIONS = ("none", "dynamic_int8", "static_int8")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that a search space may use, asked of the registries, so that this package imports none of them.

    `runtimes` maps each registered runtime to the quantizations that it can execute.
    """

    datasets: tuple[str, ...]
    families: Mapping[str, FamilyTraits]
    runtimes: Mapping[str, frozenset[str]]
    samplers: tuple[str, ...]

    def is_supported(self, runtime: str, quantization: str) -> bool:
        """Whether `runtime` can execute a network that was quantized so."""
        return quantization in self.runtimes[runtime]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter and the values that it may take; numbers are ordered. One value: the parameter is fixed.

    A width that each stage chooses by itself has tuples for values, and only tuples.
    """

    name: str
    values: tuple[Width | int | str, ...]

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.values) == 1

    @property
    def is_ordered(self) -> bool:
        """Whether the values are numbers."""
        return all(isinstance(value, int | float) for value in self.values)


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Which images: `path` (image_folder) is relative to the data root; counts are images."""

    name: str
    validation: int
    calibration: int
    path: str | None = None


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How variants are proposed, and when to stop: after `n_trials` trials or `timeout_s` seconds (None: no limit)."""

    sampler: str
    n_trials: int
    timeout_s: float | None
    seed: int


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """The device and its prices in US dollars."""

    name: str
    hardware_usd_per_hour: float
    memory_usd_per_gib_hour: float
    other_usd_per_million: float


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """A checked search space. `parameters` has every field of Variant, in that order; missing ones are fixed.

    `recipe` is "" where nothing is trained: for an own network, and for the weights that come with the package.
    `recovery_steps` follow the pruning of a variant.
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

    @property
    def is_shipped(self) -> bool:
        """Whether the weights are those that come with the package."""
        return not self.recipe and ":" not in self.model

    def executions(self, vocabulary: Vocabulary) -> tuple[tuple[str, str], ...]:
        """The (runtime, quantization) pairs of the space that the runtimes can execute, in the file's order."""
        runtimes = self.parameters["runtime"].values
        quantizations = self.parameters["quantization"].values
        return tuple(
            (str(runtime), str(quantization))
            for runtime, quantization in product(runtimes, quantizations)
            if vocabulary.is_supported(str(runtime), str(quantization))
        )

    def n_variants(self, vocabulary: Vocabulary) -> int:
        """How many variants can be proposed."""
        others = (len(p.values) for name, p in self.parameters.items() if name not in ("runtime", "quantization"))
        return math.prod(others) * len(self.executions(vocabulary))

    def variants(self, vocabulary: Vocabulary) -> Iterator[Variant]:
        """Every variant that can be proposed, in a fixed order."""
        names = [name for name in self.parameters if name not in ("runtime", "quantization")]
        for values in product(*(self.parameters[name].values for name in names)):
            for runtime, quantization in self.executions(vocabulary):
                point: dict[str, Any] = dict(zip(names, values, strict=True))
                point["width"] = uniform_width(point["width"])
                yield Variant(**point, runtime=runtime, quantization=quantization)

    def baseline(self) -> Variant:
        """Width 1.0, unpruned, float32, eager, no exit; the smallest batch and the fewest threads of the space."""
        return Variant(
            batch_size=min(self.parameters["batch_size"].values),  # type: ignore[arg-type]
            threads=min(self.parameters["threads"].values),  # type: ignore[arg-type]
        )


def uniform_width(width: Width) -> Width:
    """The width of a variant: one number where every stage has the same, so that equal networks are equal variants."""
    return width[0] if isinstance(width, tuple) and len(set(width)) == 1 else width
