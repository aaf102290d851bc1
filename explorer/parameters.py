"""ParameterSpec: what may differ between two variants, declared once, by the code that implements it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, final, get_args

from explorer.errors import NotAvailable

Value = float | int | str | tuple[float, ...]

Phase = Literal["network", "export", "artifact", "run"]
"""Which content key a parameter enters: the network's, the exported model's, the artifact's, or the measurement's."""

LARGEST_WHOLE = 2**53
"""Beyond it, a whole number and its float may differ."""

_ORDER = {phase: place for place, phase in enumerate(get_args(Phase))}


@dataclass(frozen=True, slots=True)
class Numbers:
    """The allowed numbers: from `minimum` (excluded when `is_open`) to `maximum`, whole ones or all.

    `why_minimum` and `why_maximum` explain a limit in error messages. With `n_stages` (0: none) a value is one number,
    or a tuple of one number for each stage.
    """

    minimum: float
    maximum: float
    is_whole: bool = False
    is_open: bool = False
    why_minimum: str = ""
    why_maximum: str = ""
    n_stages: int = 0

    def has_type(self, value: object) -> bool:
        """Return whether `value` is a finite number of this kind, or a tuple of such numbers where that is allowed."""
        if isinstance(value, tuple):
            return self.n_stages > 0 and bool(value) and all(map(self._is_number, value))
        return self._is_number(value)

    def _is_number(self, value: object) -> bool:
        if type(value) is int:
            return abs(value) <= LARGEST_WHOLE
        return type(value) is float and not self.is_whole and math.isfinite(value)

    def expected(self, value: object) -> str:
        """Return what was expected instead of the number `value`; "" for an allowed one."""
        if not isinstance(value, int | float) or not self._is_number(value):
            return f"expected {'a whole number' if self.is_whole else 'a number'}"
        if value < self.minimum or (self.is_open and value == self.minimum):
            bound = f"{'more than' if self.is_open else 'at least'} {self.minimum:g}"
            return f"expected {bound}{_because(self.why_minimum)}"
        if value > self.maximum:
            return f"expected at most {self.maximum:g}{_because(self.why_maximum)}"
        return ""


@dataclass(frozen=True, slots=True)
class Names:
    """The allowed names; `what` is the word for one of them, such as `a runtime`.

    `faults` says of other names why they cannot be used.
    """

    names: tuple[str, ...]
    what: str
    faults: Mapping[str, str] = field(default_factory=dict, compare=False)

    def has_type(self, value: object) -> bool:
        """Return whether `value` is text."""
        return type(value) is str


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A parameter of variants.

    baseline   the value that changes nothing; a variant without the parameter has it
    allowed    the values that a search space may name
    title      the heading of its column; its name where empty
    summary    what it is, for the template of a search space
    example    a choice for that template, in YAML; empty: the baseline alone
    has_core   whether each unit takes a core of its own: a search space names no more than the process may use
    """

    name: str
    phase: Phase
    baseline: Value
    allowed: Numbers | Names
    summary: str
    title: str = ""
    example: str = ""
    has_core: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a phase that there is not: it decides which content keys the parameter enters."""
        if self.phase not in _ORDER:
            raise ValueError(f"expected the phase of {self.name!r} as one of {', '.join(_ORDER)}, got {self.phase!r}")

    def expected(self, value: object) -> str:
        """Return what was expected instead of `value`; "" for allowed numbers, each of a tuple, and for any name."""
        rule = self.allowed
        if isinstance(rule, Names):
            return "" if rule.has_type(value) else f"expected {rule.what}"
        numbers = value if isinstance(value, tuple) and rule.has_type(value) else (value,)
        return next(filter(None, map(rule.expected, numbers)), "")


def check_specs(specs: object) -> None:
    """Raise TypeError unless `specs` is a tuple of ParameterSpec, as the parameters of a plugin are."""
    if not isinstance(specs, tuple) or not all(isinstance(spec, ParameterSpec) for spec in specs):
        raise TypeError(f"expected its parameters as a tuple of ParameterSpec, got {specs!r:.200}")


def in_order(specs: Iterable[ParameterSpec]) -> dict[str, ParameterSpec]:
    """Return the specs by name, those of an earlier phase first.

    Two of one name allow together what either allows; where they contradict each other, the first holds.
    """
    found: dict[str, ParameterSpec] = {}
    for spec in specs:
        known = found.setdefault(spec.name, spec)
        if not _contradiction(known, spec):
            found[spec.name] = _merged(known, spec)
    return dict(sorted(found.items(), key=lambda item: _ORDER[item[1].phase]))


def _merged(one: ParameterSpec, other: ParameterSpec) -> ParameterSpec:
    if not isinstance(one.allowed, Numbers) or not isinstance(other.allowed, Numbers):
        return one
    lower, upper = sorted((one.allowed, other.allowed), key=lambda rule: rule.minimum)
    largest, n_stages = max(lower.maximum, upper.maximum), max(lower.n_stages, upper.n_stages)
    return replace(one, allowed=replace(lower, maximum=largest, n_stages=n_stages))


def _contradiction(known: ParameterSpec, spec: ParameterSpec) -> str:
    if (known.phase, known.baseline) == (spec.phase, spec.baseline):
        return ""
    return (
        f"has the parameter {spec.name!r} with the baseline {spec.baseline!r} in the phase {spec.phase}, and there is "
        f"another with {known.baseline!r} in the phase {known.phase}: rename one of the two, or uninstall the package"
    )


def require_agreement(plugin: str, specs: Iterable[ParameterSpec]) -> None:
    """Raise NotAvailable for a parameter of `plugin` that contradicts another of its name."""
    for spec in specs:
        if why := _contradiction(PARAMETERS.get(spec.name, spec), spec):
            raise NotAvailable(f"{plugin} {why}")


@final
class Declared(Mapping[str, ParameterSpec]):
    """The parameters that modules declare, loaded at the first access: they lie above this one.

    Each module has a function `declared` that yields its specs, and whether a plugin of this package has it: such
    specs hold where another package's contradict them.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._modules = modules

    @cached_property
    def _specs(self) -> Mapping[str, ParameterSpec]:
        pairs = (pair for name in self._modules for pair in importlib.import_module(name).declared())
        return in_order(spec for spec, _ in sorted(pairs, key=lambda pair: not pair[1]))

    def __getitem__(self, name: str) -> ParameterSpec:
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)


PARAMETERS: Mapping[str, ParameterSpec] = Declared(
    (
        "explorer.models.registry",
        "explorer.build",
        "explorer.runtimes.runtime",
        "explorer.measure.scenarios.scenario",
    )
)
"""Every parameter that an installed model family, a transform, a runtime or a scenario declares."""


def canonical(value: Any) -> Any:
    """Return a parameter's value as variants hold it: a list as a tuple, equal numbers of all stages as one number."""
    if isinstance(value, list | tuple):
        return value[0] if value and all(one == value[0] for one in value) else tuple(value)
    return value


def _because(why: str) -> str:
    return f" ({why})" if why else ""
