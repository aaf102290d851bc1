"""The values that travel between modules: Variant, Measurement, Metrics, TrialOutcome, Progress."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Literal, final

from explorer.observation import Observation, PackedObservation, Reason, require_values
from explorer.parameters import PARAMETERS, Phase, canonical

Width = float | tuple[float, ...]
"""Multiplier of a network's channels: one number, or one per stage."""

_ends = itemgetter("value", "low", "high", "n")


@final
class Variant(Mapping[str, Any]):
    """A point of a search space: the value of each of its parameters, in order.

    Any other declared parameter has its baseline value. Two variants are equal where no parameter has another value,
    named or not: `Variant()` is the baseline of every space.
    """

    __slots__ = ("_names", "_values")

    def __init__(self, values: Mapping[str, Any] = MappingProxyType({}), /, **more: Any) -> None:
        """Take the values by name. Raises TypeError for a name that no parameter has."""
        given = {**values, **more}
        self._names = _declared(tuple(given))
        self._values = tuple(map(canonical, given.values()))

    def __getitem__(self, name: str) -> Any:
        return self._values[self._names.index(name)] if name in self._names else PARAMETERS[name].baseline

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        return self._changed() == other._changed() if isinstance(other, Variant) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._changed().items()))

    def __repr__(self) -> str:
        return f"Variant({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def _changed(self) -> dict[str, Any]:
        pairs = zip(self._names, self._values, strict=True)
        return {name: value for name, value in pairs if value != PARAMETERS[name].baseline}

    def replaced(self, **values: Any) -> Variant:
        """Return a variant with other values of some parameters. Raises as the constructor does."""
        return Variant(self, **values)

    def key(self, phase: Phase) -> dict[str, Any]:
        """Return what enters the content key of that phase: its values that are not the baseline's, JSON-ready."""
        changed = sorted(self._changed().items())
        return {name: _plain(value) for name, value in changed if PARAMETERS[name].phase == phase}

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON-ready ones; one number per stage becomes a list."""
        return {name: _plain(value) for name, value in self.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Variant:
        """Return the variant of `to_json`'s values. Raises TypeError for unknown names."""
        return cls(values)


@lru_cache(maxsize=1024)
def _declared(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return these names, the same tuple for all variants of a space. Raises TypeError for an unknown one."""
    for name in names:
        if name not in PARAMETERS:
            raise TypeError(f"{name!r} is no parameter; the parameters are {', '.join(PARAMETERS)}")
    return names


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured metric: its value, the ends of its 95 % interval, and the number of samples.

    An unknown metric has `value` None and the reason in `why`; an exact one (a count) has no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    why: str | None = None

    @classmethod
    def unknown(cls, why: str) -> Measurement:
        """Return an unknown metric with the reason."""
        return cls(value=None, why=why)

    def to_json(self) -> dict[str, Any]:
        """Return `{"value", "low", "high", "n"}`, or `{"value": None, "why"}`."""
        if self.value is None:
            return {"value": None, "why": self.why}
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measurement:
        """Return the measurement of `to_json`'s values. Raises TypeError for unknown names."""
        return cls(**values)


@final
class Metrics(Mapping[str, Measurement]):
    """Measurements by name, in order, in a seventh of the memory: a long study holds thousands of them.

    `numbers` holds all known numbers, and `fields` what each is: the metric's name, and an index into ENDS. Everything
    else is shared between trials with equal layouts. A `Measurement` is made on access.
    """

    ENDS = ("value", "low", "high", "n")

    __slots__ = ("_layout", "_whys", "numbers")

    def __init__(self, measurements: Mapping[str, Measurement]) -> None:
        """Store `measurements`. Raises TypeError for ends that are not numbers, ValueError for too large ones."""
        rows = ((m.value, m.low, m.high, m.n) for m in measurements.values())
        whys = tuple((name, m.why) for name, m in measurements.items() if m.why is not None)
        self._fill(tuple(measurements), rows, whys)

    @classmethod
    def of(cls, measurements: Mapping[str, Measurement]) -> Metrics:
        """Return `measurements` in this form. Raises as the constructor does."""
        return measurements if isinstance(measurements, cls) else cls(measurements)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Metrics:
        """Return the metrics of `Measurement.to_json` values by name.

        Raises TypeError, KeyError or ValueError for others.
        """
        made = cls.__new__(cls)
        rows = [_ends(m) if len(m) == 4 else (None,) * 4 for m in values.values()]
        whys = tuple((name, m["why"]) for name, m in values.items() if len(m) != 4 and m["why"] is not None)
        if not all(isinstance(why, str) for _, why in whys):
            raise TypeError("a metric is not known, and why is no text")
        made._fill(tuple(values), rows, whys)
        return made

    def _fill(
        self, names: tuple[str, ...], rows: Iterable[Sequence[float | None]], whys: tuple[tuple[str, str], ...]
    ) -> None:
        ends = list(chain.from_iterable(rows))
        try:
            self.numbers = array("d", [end for end in ends if end is not None])
        except OverflowError as error:
            raise ValueError(f"a metric is too large: {error}") from error
        self._layout = _layout(names, tuple([end is not None for end in ends]))
        self._whys = _reasons(whys)

    def __getitem__(self, name: str) -> Measurement:
        value, low, high, n = self._layout.places[name]
        numbers = self.numbers
        return Measurement(
            numbers[value] if value >= 0 else None,
            numbers[low] if low >= 0 else None,
            numbers[high] if high >= 0 else None,
            int(numbers[n]) if n >= 0 else None,
            self._whys.get(name),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.places)

    def __len__(self) -> int:
        return len(self._layout.places)

    def __repr__(self) -> str:
        return f"Metrics({dict(self)})"

    @property
    def fields(self) -> tuple[tuple[str, int], ...]:
        """The metric, and the index into ENDS, of each of `numbers`."""
        return self._layout.fields

    def has_all(self, names: Iterable[str]) -> bool:
        """Return whether each of `names` is present with a known value."""
        places = self._layout.places
        return all(name in places and places[name][0] >= 0 for name in names)

    def known(self) -> dict[str, float]:
        """Return the known values by name."""
        numbers = self.numbers
        return {name: numbers[ends[0]] for name, ends in self._layout.places.items() if ends[0] >= 0}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Indices of each metric's ENDS into the numbers (-1: unknown), and what each number is."""

    places: Mapping[str, tuple[int, int, int, int]]
    fields: tuple[tuple[str, int], ...]


@lru_cache(maxsize=1024)
def _layout(names: tuple[str, ...], known: tuple[bool, ...]) -> _Layout:
    places: dict[str, tuple[int, int, int, int]] = {}
    fields: list[tuple[str, int]] = []
    is_known = iter(known)
    for name in names:
        found = []
        for place in range(len(Metrics.ENDS)):
            found.append(len(fields) if next(is_known) else -1)
            fields += [(name, place)] if found[-1] >= 0 else []
        value, low, high, n = found
        places[name] = value, low, high, n
    return _Layout(places, tuple(fields))


@lru_cache(maxsize=1024)
def _reasons(whys: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(whys)


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a trial: its name, its duration, and whether its result came from the cache."""

    name: str
    seconds: float
    is_cached: bool = False


_FAILURES = {
    "reported": ("{kind}", "{message}"),
    "timeout": ("timeout in {phase}", "no answer in phase {phase!r} for {seconds:g} s"),
    "signal": ("signal {signal}", "ended by {signal} in phase {phase!r}"),
    "killed": ("signal SIGKILL", "ended by SIGKILL in phase {phase!r}; the system may have run out of memory"),
    "no_result": ("no result", "exited with status {status:.0f} in phase {phase!r} without a result"),
    "out_of_memory": (
        "out of memory",
        "it held {held_mib:.0f} MiB in phase {phase!r}, and this machine had {limit_mib:.0f} MiB for it",
    ),
    "artifact_changed": ("artifact not loaded", "{files} in {folder} changed since it was made"),
    "artifact_unsafe": ("artifact not loaded", "{reason}: nothing of {folder} is loaded"),
    "artifact_unreadable": ("artifact not loaded", "the artifact {artifact} does not read ({error})"),
    "no_number": ("invalid value", "{metric} is {value}, expected a number"),
    "not_finite": ("invalid value", "{metric} is {value}, expected a finite number"),
    "too_large": ("invalid value", "{metric} is {value}, expected at most 1e+100"),
    "no_ratio": ("invalid value", "{metric} is {value}, expected a ratio in [0, 1]"),
    "negative": ("invalid value", "{metric} is {value}, expected no negative number"),
    "not_above_0": ("invalid value", "{metric} is {value}, expected more than 0 {unit}"),
    "objective_unknown": ("objective unknown", "{metric} is not known: {why}"),
}
"""The kind and the sentence of each cause of a failure; what another process reported has its own."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why a trial has no result: its cause, one of those that have a sentence, the sentence's values, and
    the last output.
    """

    cause: str
    values: Mapping[str, float | str]
    log: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError unless the cause has a sentence, and the values are those of the sentence."""
        if self.cause not in _FAILURES:
            raise ValueError(f"{self.cause[:100]!r} is no cause of a failure")
        require_values("".join(_FAILURES[self.cause]), self.values)

    @classmethod
    def reported(cls, kind: str, message: str, log: str = "") -> Failure:
        """Return a failure in the words of others, such as an exception's."""
        return cls("reported", {"kind": kind, "message": message}, log)

    @property
    def kind(self) -> str:
        """A few words, equal for failures that have the same cause."""
        return _FAILURES[self.cause][0].format_map(self.values)

    @property
    def reason(self) -> str:
        """The failure in one sentence."""
        return _FAILURES[self.cause][1].format_map(self.values)


@dataclass(frozen=True, slots=True)
class Origin:
    """The trial of another study from which a trial was adopted."""

    study: str
    trial: int


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """The result of building and measuring one variant: metrics and an artifact, or a failure.

    `observed` is what the measurement found beyond the metrics, possibly compressed; `reasons` are those why its times
    are not valid.
    """

    variant: Variant
    metrics: Mapping[str, Measurement] = field(default_factory=dict)
    artifact: str | None = None
    stages: Collection[Stage] = ()
    observed: Observation | PackedObservation | None = None
    failure: Failure | None = None
    reasons: tuple[Reason, ...] = ()
    forked_from: Origin | None = None

    @property
    def observation(self) -> Observation | None:
        """What the measurement found beyond the metrics."""
        return self.observed.read() if isinstance(self.observed, PackedObservation) else self.observed

    @property
    def invalid(self) -> tuple[str, ...]:
        """The reasons why the times are not valid, one sentence each; empty for a valid measurement."""
        return tuple(reason.sentence for reason in self.reasons)

    def values(self) -> dict[str, float]:
        """Return the known metrics as plain numbers."""
        if isinstance(self.metrics, Metrics):
            return self.metrics.known()
        return {name: m.value for name, m in self.metrics.items() if m.value is not None}


TrialState = Literal["complete", "infeasible", "failed", "invalid"]
"""Complete: it satisfies every constraint. Invalid: it has a result, but its times are not valid."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of long work: the stage, and how much of it is done (`total` None: unknown). `note` is for people."""

    stage: str
    done: float = 0.0
    total: float | None = None
    note: str = ""
