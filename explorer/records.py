"""Variant, Measurement, TrialOutcome: the frozen values that travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Width = float | tuple[float, ...]


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
        return cls(**{**values, "width": tuple(width) if isinstance(width, list | tuple) else width})


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
    stages: tuple[Stage, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    invalid: tuple[str, ...] = ()

    def values(self) -> dict[str, float]:
        """The known metrics as plain numbers."""
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
