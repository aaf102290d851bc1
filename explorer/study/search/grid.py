"""The grid of a search space: its variants as numbers from 0, as levels of axes, and as Optuna's parameters.

Every parameter has finitely many values, so a variant is a point of a grid. Runtime, quantization and the parameters of
single runtimes form one axis, `execution`, of what can be executed: an impossible pair has no point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from explorer.parameters import canonical
from explorer.records import Variant
from explorer.space.values import SearchSpace, Vocabulary

EXECUTION = "execution"

Levels = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter with more than one value: its name in Optuna, its values in order, and its distribution in Optuna.

    `field` is the parameter that it sets, or `execution`, which sets those of `together`; `stage` is the position in a
    value per stage. `labels` are Optuna's values of the levels.
    """

    name: str
    field: str
    values: tuple[Any, ...]
    labels: tuple[Any, ...]
    distribution: BaseDistribution
    stage: int | None = None
    together: tuple[str, ...] = ()

    def level_of(self, variant: Variant) -> int | None:
        """Return the level of `variant` on this axis; None when it has none of them."""
        value: Any = tuple(variant[name] for name in self.together) if self.together else variant[self.field]
        if self.stage is not None:
            value = value if not isinstance(value, tuple) else value[self.stage] if self.stage < len(value) else None
        return self.values.index(value) if value in self.values else None

    def level_of_label(self, label: Any) -> int:
        """Return the level of a value that a sampler proposed; numbers may have rounding errors. Raises ValueError."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.labels.index(label)
        return min(range(len(self.labels)), key=lambda level: abs(self.labels[level] - label))


class Grid:
    """The variants of a search space, numbered from 0 to `n_variants` - 1 in the order of the axes."""

    def __init__(self, space: SearchSpace, vocabulary: Vocabulary) -> None:
        self._names = tuple(space.parameters)
        self._fixed: dict[str, Any] = {}
        axes: list[Axis] = []
        together, executions = space.execution_names(vocabulary), space.executions(vocabulary)
        for name, parameter in space.parameters.items():
            if name in together:
                continue
            if parameter.is_fixed:
                self._fixed[name] = parameter.values[0]
            else:
                axes.extend(_axes(name, parameter.values))
        if len(executions) == 1:
            self._fixed |= zip(together, executions[0], strict=True)
        else:
            labels = tuple(":".join(map(str, values)) for values in executions)
            distribution = CategoricalDistribution(labels)
            axes.append(Axis(EXECUTION, EXECUTION, executions, labels, distribution, together=together))
        self.axes = tuple(axes)
        self.sizes = tuple(len(axis.values) for axis in axes)
        self.n_variants = math.prod(self.sizes)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Each axis's distribution, by Optuna's name."""
        return {axis.name: axis.distribution for axis in self.axes}

    def variant(self, index: int) -> Variant:
        """Return the variant of that number."""
        values = dict(self._fixed)
        for axis, level in zip(self.axes, self.levels(index), strict=True):
            value = axis.values[level]
            if axis.together:
                values |= zip(axis.together, value, strict=True)
            elif axis.stage is not None:
                values[axis.field] = (*values.get(axis.field, ()), value)
            else:
                values[axis.field] = value
        return Variant({name: values[name] for name in self._names})

    def index(self, variant: Variant) -> int | None:
        """Return the number of a variant; None if it is not in the space."""
        levels = [axis.level_of(variant) for axis in self.axes]
        if any(level is None for level in levels):
            return None
        index = self.index_of_levels([level for level in levels if level is not None])
        return index if self.variant(index) == variant else None

    def levels(self, index: int) -> Levels:
        """Return that variant's level on each axis."""
        levels = []
        for size in reversed(self.sizes):
            index, level = divmod(index, size)
            levels.append(level)
        return tuple(reversed(levels))

    def index_of_levels(self, levels: Sequence[int]) -> int:
        """Return the inverse of `levels`."""
        index = 0
        for size, level in zip(self.sizes, levels, strict=True):
            index = index * size + level
        return index

    def neighbors(self, index: int) -> list[int]:
        """Return the variants that differ on one axis: by one level where levels are ordered, else by any."""
        levels = self.levels(index)
        found = []
        for position, (axis, level) in enumerate(zip(self.axes, levels, strict=True)):
            for other in range(len(axis.values)):
                is_near = abs(other - level) == 1 or isinstance(axis.distribution, CategoricalDistribution)
                if other != level and is_near:
                    found.append(self.index_of_levels((*levels[:position], other, *levels[position + 1 :])))
        return found

    def params(self, index: int) -> dict[str, Any]:
        """Return that variant as Optuna's parameters."""
        return {axis.name: axis.labels[level] for axis, level in zip(self.axes, self.levels(index), strict=True)}

    def index_of_params(self, params: Mapping[str, Any]) -> int:
        """Return the inverse of `params`."""
        return self.index_of_levels([axis.level_of_label(params[axis.name]) for axis in self.axes])


def _axes(field: str, values: tuple[Any, ...]) -> list[Axis]:
    """Return the axes of one parameter: one, or one per stage for values per stage that are a full product."""
    if all(isinstance(value, int | float) for value in values):
        return [_number_axis(field, field, values, None)]
    tuples = [value for value in values if isinstance(value, tuple)]
    if len(tuples) == len(values) and len({len(value) for value in tuples}) == 1:
        stages = [tuple(sorted(set(column))) for column in zip(*tuples, strict=True)]
        if math.prod(len(stage) for stage in stages) == len(set(tuples)):
            return [_number_axis(f"{field}_{i + 1}", field, stage, i) for i, stage in enumerate(stages)]
    values = tuple(dict.fromkeys(map(canonical, values)))
    labels = tuple(str(value) for value in values)
    return [Axis(field, field, values, labels, CategoricalDistribution(labels))]


def _number_axis(name: str, field: str, values: tuple[Any, ...], stage: int | None) -> Axis:
    """Return an axis of numbers: a range with a step where they are equidistant, else the number's position."""
    ordered = tuple(sorted(values))
    exact = [Decimal(str(value)) for value in ordered]  # as written: 0.1 + 0.2 is no reason to call steps unequal
    steps = {second - first for first, second in pairwise(exact)}
    if len(steps) == 1:
        low, high, step = ordered[0], ordered[-1], steps.pop()
        distribution: BaseDistribution = (
            IntDistribution(low, high, step=int(step))
            if all(isinstance(value, int) for value in ordered)
            else FloatDistribution(float(low), float(high), step=float(step))
        )
        return Axis(name, field, ordered, ordered, distribution, stage)
    positions = tuple(range(len(ordered)))
    return Axis(f"{name}_index", field, ordered, positions, IntDistribution(0, len(ordered) - 1), stage)
