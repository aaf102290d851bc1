"""The confirmation of a study: its values, and its file beside the database.

`confirmation.json` is always whole. A confirmation in progress grows, round by round, in another file, which replaces
the first at its end: an interrupted one is resumed, and the old one stays until the new one is whole.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.errors import StudyDamaged
from explorer.observation import Anchor, Reason
from explorer.records import Failure, Measurement
from explorer.study.store.validation import json_value, require_measured
from explorer.system.files import flush_to_disk, read_plain_text, write_json
from explorer.typed_json import from_json, to_json

STAGE = "confirm"
"""The stage of progress while finalists are measured again."""

_FORMAT = 3

Ended = Literal["settled", "rounds", "time"]
"""All memberships are settled; or the number of rounds, or the time, was used up first."""


@dataclass(frozen=True, slots=True)
class PackedScores:
    """Scores of `n` examples as base64: bits, the first example in the highest one, if each is 0 or 1; else float32."""

    n: int
    is_binary: bool
    text: str

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> PackedScores:
        """Return scores [n]; 5000 of 0 and 1 take 836 characters."""
        is_binary = bool(np.isin(scores, (0.0, 1.0)).all())
        packed = np.packbits(scores.astype(np.bool_)) if is_binary else scores.astype("<f4")
        return cls(len(scores), is_binary, base64.b64encode(packed.tobytes()).decode("ascii"))

    def scores(self) -> NDArray[np.float64]:
        """Return the scores [n]. Raises ValueError for a text that does not hold n finite ones."""
        content = base64.b64decode(self.text, validate=True)
        if len(content) != (-(-self.n // 8) if self.is_binary else 4 * self.n):
            raise ValueError(f"there are {len(content)} bytes for the scores of {self.n} examples")
        if self.is_binary:
            return np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=self.n).astype(np.float64)
        scores = np.frombuffer(content, dtype="<f4").astype(np.float64)
        if not np.isfinite(scores).all():
            raise ValueError("scores are not finite")
        return scores


@dataclass(frozen=True, slots=True)
class Finalist:
    """A trial that is measured again: its number, its artifact, and its scores on the validation examples by metric.

    Metrics whose scores are not known are missing. Scores belong to the outputs that gave the trial its quality: an
    artifact's outputs do not change between rounds.
    """

    trial: int
    artifact: str
    packed: Mapping[str, PackedScores] = field(default_factory=dict)

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Return the scores [n] by metric. Raises ValueError for packed ones that do not read."""
        return {name: packed.scores() for name, packed in self.packed.items()}


@dataclass(frozen=True, slots=True)
class Repeat:
    """One finalist in one round: its metrics, the reasons why they are invalid or missing, and the anchor's time."""

    trial: int
    metrics: Mapping[str, Measurement]
    reasons: tuple[Reason, ...] = ()
    failure: Failure | None = None
    anchor: Anchor | None = None

    @property
    def invalid(self) -> tuple[str, ...]:
        """The reasons why its times are not valid, one sentence each."""
        return tuple(reason.sentence for reason in self.reasons)

    @property
    def is_valid(self) -> bool:
        """Whether its metrics count."""
        return self.failure is None and not self.reasons


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The finalists of a study, baseline included, and all repeated measurements of them.

    n_trials, last_finished  identify the study's trials at that time (number; Unix time in seconds)
    left_out                 trials that may belong to the front too, beyond the maximal number of finalists
    rounds                   the measurements in the order in which they were made
    test_accuracies          reported only; they select nothing
    seconds                  spent so far
    ended                    None: in progress
    """

    seed: int
    n_trials: int
    last_finished: float
    finalists: tuple[Finalist, ...]
    left_out: tuple[int, ...] = ()
    rounds: tuple[tuple[Repeat, ...], ...] = ()
    test_accuracies: Mapping[int, Measurement] = field(default_factory=dict)
    seconds: float = 0.0
    ended: Ended | None = None

    def repeats(self, trial: int) -> list[Repeat | None]:
        """Return that trial's measurement in each round."""
        return [next((repeat for repeat in one if repeat.trial == trial), None) for one in self.rounds]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"format": _FORMAT, **to_json(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Confirmation:
        """Return the inverse of `to_json`. Raises KeyError, TypeError or ValueError otherwise."""
        if values["format"] != _FORMAT:
            raise ValueError(f"it has format {values['format']}, this version reads {_FORMAT}")
        found = from_json(cls, {name: value for name, value in values.items() if name != "format"}, "it")
        _check(found)
        return found


def _check(found: Confirmation) -> None:
    """Raise ValueError for values beyond measure, inconsistent parts, or unreadable scores."""
    numbers = {finalist.trial for finalist in found.finalists}
    if any({repeat.trial for repeat in repeats} != numbers or len(repeats) != len(numbers) for repeats in found.rounds):
        raise ValueError("a round does not hold every finalist once")
    for finalist in found.finalists:
        finalist.scores()
    metrics = [repeat.metrics for repeats in found.rounds for repeat in repeats]
    for name, measured in chain(*(one.items() for one in metrics), found.test_accuracies.items()):
        ends = (measured.value, measured.low, measured.high, measured.n)
        require_measured(str(name), [end for end in ends if end is not None])


NAME = "confirmation.json"
GROWING_NAME = "confirmation.next.json"


def read_confirmation(folder: Path) -> Confirmation | None:
    """Return the whole confirmation of the study in `folder`; None without one. Raises StudyDamaged."""
    return _read(folder / NAME, "delete it, and `explore confirm` measures the finalists again")


def read_growing(folder: Path) -> Confirmation | None:
    """Return the confirmation in progress; None without one. Raises StudyDamaged."""
    return _read(folder / GROWING_NAME, "delete it, and the confirmation that was interrupted begins anew")


def write_growing(folder: Path, confirmation: Confirmation) -> None:
    """Store the confirmation in progress. Raises OSError."""
    write_json(folder / GROWING_NAME, confirmation.to_json())


def complete(folder: Path) -> None:
    """Replace the study's confirmation by the one in progress. Raises OSError."""
    os.replace(folder / GROWING_NAME, folder / NAME)
    flush_to_disk(folder)


def remove_confirmations(folder: Path) -> None:
    """Remove both files, of a study that begins anew."""
    for name in (NAME, GROWING_NAME):
        (folder / name).unlink(missing_ok=True)


def _read(path: Path, way_out: str) -> Confirmation | None:
    try:
        text = read_plain_text(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        what = "text" if isinstance(error, UnicodeDecodeError) else "a regular file"
        raise StudyDamaged(f"{path} is not {what}: {way_out}") from error
    try:
        return Confirmation.from_json(json_value(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StudyDamaged(f"{path} is not a whole confirmation ({reason}): {way_out}") from error
