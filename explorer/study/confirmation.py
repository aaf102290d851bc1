"""Confirmation: what measuring a study's finalists again found, round by round."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.records import Failure, Measurement
from explorer.study.sound import (
    require_finite,
    require_list,
    require_texts,
    require_whole,
    sound_failure,
    sound_measurement,
)

if TYPE_CHECKING:
    from explorer.study.result import TrialRecord

STAGE = "confirm"
"""The stage of progress while finalists are measured again."""

_FORMAT = 1

Ended = Literal["settled", "rounds", "time"]
"""Every membership was settled; or the number of rounds, or the time, was used up first."""


@dataclass(frozen=True, slots=True)
class Finalist:
    """A trial that is measured again: its number, its artifact, and which validation images it classified correctly.

    `correct` are bits [n_images] as base64, the first image in the highest bit; "" when it is not known. Those bits
    are of the outputs that gave the trial its accuracy: an artifact's outputs do not change from round to round.
    """

    trial: int
    artifact: str
    correct: str = ""
    n_images: int = 0

    def hits(self) -> NDArray[np.bool_] | None:
        """Which images were classified correctly [n_images]; None when it is not known. Raises ValueError."""
        if not self.correct:
            return None
        packed = np.frombuffer(base64.b64decode(self.correct, validate=True), dtype=np.uint8)
        if len(packed) != -(-self.n_images // 8):
            raise ValueError(f"trial {self.trial} has {len(packed)} bytes for {self.n_images} images")
        return np.unpackbits(packed, count=self.n_images).astype(np.bool_)


@dataclass(frozen=True, slots=True)
class Take:
    """One finalist in one round: its metrics, and why they cannot be believed or do not exist, if so."""

    trial: int
    metrics: Mapping[str, Measurement]
    invalid: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def is_valid(self) -> bool:
        """Whether its metrics count."""
        return self.failure is None and not self.invalid


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The finalists of a study, baseline included, and everything that was measured of them again.

    `rounds` hold the takes in the order in which they were made. `n_trials` and `last_finished` (Unix seconds) tell
    which trials the study had then; `left_out` are the trials that may belong to the front too, but were too many.
    `test_accuracies` are stated beside the rest and choose nothing. `seconds` were spent; `ended` None: not yet.
    """

    seed: int
    n_trials: int
    last_finished: float
    finalists: tuple[Finalist, ...]
    left_out: tuple[int, ...] = ()
    rounds: tuple[tuple[Take, ...], ...] = ()
    test_accuracies: Mapping[int, Measurement] = field(default_factory=dict)
    seconds: float = 0.0
    ended: Ended | None = None

    def is_stale(self, trials: Sequence[TrialRecord]) -> bool:
        """Whether `trials`, all of the study's, are others than those of which this was made."""
        artifacts = {trial.number: trial.outcome.artifact for trial in trials}
        is_same = (self.n_trials, self.last_finished) == state_of(trials)
        return not is_same or any(artifacts.get(one.trial) != one.artifact for one in self.finalists)

    def takes(self, trial: int) -> list[Take | None]:
        """What each round has of that trial, by round."""
        return [next((take for take in one if take.trial == trial), None) for one in self.rounds]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "format": _FORMAT,
            "seed": self.seed,
            "of": {"n_trials": self.n_trials, "last_finished": self.last_finished},
            "finalists": [asdict(finalist) for finalist in self.finalists],
            "left_out": list(self.left_out),
            "rounds": [[_take_to_json(take) for take in takes] for takes in self.rounds],
            "test_accuracies": {str(n): accuracy.to_json() for n, accuracy in self.test_accuracies.items()},
            "seconds": self.seconds,
            "ended": self.ended,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Confirmation:
        """The inverse of `to_json`. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
        if values["format"] != _FORMAT:
            raise ValueError(f"it has format {values['format']}, this version reads {_FORMAT}")
        found = cls(
            seed=int(values["seed"]),
            n_trials=int(values["of"]["n_trials"]),
            last_finished=float(values["of"]["last_finished"]),
            finalists=tuple(Finalist(**finalist) for finalist in values["finalists"]),
            left_out=tuple(int(number) for number in values["left_out"]),
            rounds=tuple(tuple(_take_from_json(take) for take in takes) for takes in values["rounds"]),
            test_accuracies={int(n): one for n, one in _measurements(values["test_accuracies"]).items()},
            seconds=float(values["seconds"]),
            ended=values["ended"],
        )
        _check(found)
        return found


def state_of(trials: Sequence[TrialRecord]) -> tuple[int, float]:
    """How many trials there are, and when the last of them finished (Unix seconds; 0 without any)."""
    return len(trials), max((trial.finished for trial in trials), default=0.0)


def packed_hits(hits: NDArray[np.bool_]) -> str:
    """Booleans [n] as base64 of their bits: 836 characters for 5000 images."""
    return base64.b64encode(np.packbits(hits).tobytes()).decode("ascii")


def _check(found: Confirmation) -> None:
    """Raises TypeError or ValueError where something is not of its kind, the parts do not belong together, or bits do
    not read.
    """
    require_finite("its times", (found.last_finished, found.seconds))
    for finalist in found.finalists:
        require_whole("a finalist", (finalist.trial, finalist.n_images))
        require_texts("a finalist", (finalist.artifact, finalist.correct))
    numbers = {finalist.trial for finalist in found.finalists}
    if any({take.trial for take in takes} != numbers or len(takes) != len(numbers) for takes in found.rounds):
        raise ValueError("a round does not hold every finalist once")
    for finalist in found.finalists:
        finalist.hits()
    if found.ended not in (None, "settled", "rounds", "time"):
        raise ValueError(f"it ended with {found.ended!r}")


def _take_to_json(take: Take) -> dict[str, Any]:
    return {
        "trial": take.trial,
        "metrics": {name: measurement.to_json() for name, measurement in take.metrics.items()},
        "invalid": list(take.invalid),
        "failure": None if take.failure is None else asdict(take.failure),
    }


def _take_from_json(values: Mapping[str, Any]) -> Take:
    invalid = values["invalid"]
    require_list("why a take is invalid", invalid)
    require_texts("why a take is invalid", invalid)
    return Take(
        trial=int(values["trial"]),
        metrics=_measurements(values["metrics"]),
        invalid=tuple(invalid),
        failure=sound_failure(values["failure"]),
    )


def _measurements(values: Mapping[str, Any]) -> dict[str, Measurement]:
    return {name: sound_measurement(name, Measurement.from_json(one)) for name, one in values.items()}
