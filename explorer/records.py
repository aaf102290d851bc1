"""Variant, Measurement, TrialOutcome: the frozen values that travel."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, Literal, final

Width = float | tuple[float, ...]

_ends = itemgetter("value", "low", "high", "n")


@dataclass(frozen=True, slots=True)
class Variant:
    """A point of the search space. The defaults are the baseline's.

    width           multiplier of the base network's channels: one number, or one a stage
    pruning_ratio   share of channels that structured pruning removes from the narrowed network, in [0, 1)
    quantization    "none", "dynamic_int8" or "static_int8"
    runtime         name of a registered runtime
    exit_threshold  softmax confidence at which an image leaves early, in (0, 1]; 1.0: no early exit
    batch_size      images in one query
    threads         threads of the runtime, and cores that the process is pinned to
    """

    width: Width = 1.0
    pruning_ratio: float = 0.0
    quantization: str = "none"
    runtime: str = "eager"
    exit_threshold: float = 1.0
    batch_size: int = 1
    threads: int = 1

    def to_json(self) -> dict[str, Any]:
        """The variant as JSON-ready values; a per-stage width becomes a list."""
        values = asdict(self)
        if isinstance(self.width, tuple):
            values["width"] = list(self.width)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Variant:
        """The inverse of `to_json`."""
        width = values["width"]
        return cls(**{**values, "width": tuple(width)}) if isinstance(width, list) else cls(**values)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One metric as it was measured: its value, the ends of its 95 % interval, and the number of samples.

    An unknown metric has `value` None and says `why`; an exact one (a count) has no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    why: str | None = None

    @classmethod
    def unknown(cls, why: str) -> Measurement:
        """A metric that is not known, and the reason."""
        return cls(value=None, why=why)

    def to_json(self) -> dict[str, Any]:
        """`{"value", "low", "high", "n"}`, or `{"value": None, "why"}`."""
        if self.value is None:
            return {"value": None, "why": self.why}
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measurement:
        """The inverse of `to_json`."""
        return cls(**values)


@final
class Metrics(Mapping[str, Measurement]):
    """Measurements by name, in their order, in a seventh of the memory: a long study keeps thousands of them.

    `numbers` are all that is known, and `fields` what each of them is: the metric's name, and a place in ENDS. What is
    no number is shared by all trials that have the same. A `Measurement` is made when it is asked for.
    """

    ENDS = ("value", "low", "high", "n")

    __slots__ = ("_layout", "_whys", "numbers")

    def __init__(self, measurements: Mapping[str, Measurement]) -> None:
        """Raises TypeError when a measurement's ends are no numbers, ValueError when one is too large."""
        rows = ((m.value, m.low, m.high, m.n) for m in measurements.values())
        whys = tuple((name, m.why) for name, m in measurements.items() if m.why is not None)
        self._fill(tuple(measurements), rows, whys)

    @classmethod
    def of(cls, measurements: Mapping[str, Measurement]) -> Metrics:
        """`measurements` in this form. Raises as the constructor does."""
        return measurements if isinstance(measurements, cls) else cls(measurements)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Metrics:
        """What `Measurement.to_json` gave, by name. Raises TypeError, KeyError or ValueError for anything else."""
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
        """The metric, and the place in ENDS, of each of `numbers`."""
        return self._layout.fields

    def has_all(self, names: Iterable[str]) -> bool:
        """Whether each of these is there, and its value known."""
        places = self._layout.places
        return all(name in places and places[name][0] >= 0 for name in names)

    def known(self) -> dict[str, float]:
        """The values that are known, by name."""
        numbers = self.numbers
        return {name: numbers[ends[0]] for name, ends in self._layout.places.items() if ends[0] >= 0}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where each metric's ENDS are among the numbers (-1: not known); what each number is."""

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
    """One step of a trial: its name, how long it took, and whether its result came from the cache."""

    name: str
    seconds: float
    is_cached: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial has no result: a short kind that repeats exactly when the cause does, and one sentence."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What building and measuring one variant gave: metrics and an artifact, or a failure.

    `details` is JSON-ready: what the trial knows beyond its metrics (exit shares, int8 layers, process facts).
    `invalid` are the reasons, one sentence each, why its times cannot be believed; none: the measurement is valid.
    """

    variant: Variant
    metrics: Mapping[str, Measurement] = field(default_factory=dict)
    artifact: str | None = None
    stages: Collection[Stage] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    invalid: tuple[str, ...] = ()

    def values(self) -> dict[str, float]:
        """The known metrics as plain numbers."""
        if isinstance(self.metrics, Metrics):
            return self.metrics.known()
        return {name: m.value for name, m in self.metrics.items() if m.value is not None}


TrialState = Literal["complete", "infeasible", "failed", "invalid"]
"""Complete: it satisfies every constraint. Invalid: it has a result, and its times cannot be believed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where long work stands: the stage, and how much of it is done (`total` None: unknown). `note` is for people."""

    stage: str
    done: float = 0.0
    total: float | None = None
    note: str = ""
