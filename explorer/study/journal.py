"""Journal: every finished trial as one JSON file beside the artifacts, written before the database hears of it.

A trial whose journal entry is whole is never lost: a database that was killed between the two is completed from the
journal, and a damaged one is replaced by a new study that is forked from the journal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from explorer.errors import StudyDamaged
from explorer.files import write_json
from explorer.plain_file import read_plain_text
from explorer.records import Metrics, TrialOutcome, Variant
from explorer.space.values import SearchSpace
from explorer.study.result import TrialRecord
from explorer.study.sound import (
    LARGEST_MEASURED,
    STATES,
    json_value,
    require_finite,
    require_list,
    require_measured,
    require_object,
    require_plain,
    require_texts,
    require_whole,
    sound_failure,
    sound_stage,
    sound_variant,
)

_ARTIFACT = re.compile(r"[A-Za-z0-9_-]+")  # a name and no path, whoever wrote the record


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished trial as it is kept.

    `evidence` are the metrics that samplers are told (see explorer.study.evidence). `world` is the key of everything
    that the metrics depend on besides the variant (see explorer.study.world).
    """

    record: TrialRecord
    evidence: Mapping[str, float]
    world: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values, without NaN or infinities."""
        record = self.record
        return {
            "trial": record.number,
            "state": record.state,
            "started": record.started,
            "finished": record.finished,
            # JSON has no infinity: null is the violation of a constraint whose metric is not known.
            "violations": {text: None if math.isinf(v) else v for text, v in record.violations.items()},
            "outcome": outcome_to_json(record.outcome),
            "evidence": dict(self.evidence),
            "world": self.world,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Entry:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        record = TrialRecord(
            number=values["trial"],
            state=values["state"],
            outcome=outcome_from_json(values["outcome"]),
            violations={text: math.inf if v is None else v for text, v in values["violations"].items()},
            started=values["started"],
            finished=values["finished"],
        )
        entry = cls(record, values["evidence"], values["world"])
        _check(entry, values["violations"])
        return entry


class Journal:
    """The entries `trials/<number>.json` in a study's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "trials"

    def write(self, entry: Entry) -> None:
        """Keep an entry; when this returns it is on the disk. Raises OSError."""
        write_json(self._path(entry.record.number), entry.to_json())

    def read(self, number: int, space: SearchSpace | None = None) -> Entry | None:
        """The entry of that trial; None when there is none.

        Raises StudyDamaged when it does not read, or lacks what a study of `space` needs.
        """
        return _read(self._path(number), space) if self._path(number).is_file() else None

    def entries(self) -> Iterator[Entry]:
        """Every entry, by number. Raises StudyDamaged."""
        for number in self.numbers():
            yield _read(self._path(number))

    def numbers(self) -> list[int]:
        """The numbers of the trials that have an entry."""
        return sorted(int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal())

    def remove(self, number: int) -> None:
        """Forget an entry, if there is one."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"


def outcome_to_json(outcome: TrialOutcome) -> dict[str, Any]:
    """An outcome as JSON-ready values."""
    return {
        "variant": outcome.variant.to_json(),
        "metrics": {name: measurement.to_json() for name, measurement in outcome.metrics.items()},
        "artifact": outcome.artifact,
        "stages": [asdict(stage) for stage in outcome.stages],
        "details": dict(outcome.details),
        "failure": None if outcome.failure is None else asdict(outcome.failure),
        "invalid": list(outcome.invalid),
    }


def outcome_from_json(values: Mapping[str, Any]) -> TrialOutcome:
    """The inverse of `outcome_to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    if values["artifact"] is not None and not _ARTIFACT.fullmatch(values["artifact"]):
        raise ValueError(f"{values['artifact'][:100]!r} is not the name of an artifact")
    invalid = values.get("invalid", [])  # kept studies are older than the question
    require_list("why a trial is invalid", invalid)
    return TrialOutcome(
        variant=sound_variant(Variant.from_json(values["variant"])),
        metrics=Metrics.from_json(values["metrics"]),
        artifact=values["artifact"],
        stages=tuple(map(sound_stage, values["stages"])),
        details=values["details"],
        failure=sound_failure(values["failure"]),
        invalid=tuple(invalid),
    )


@dataclass(frozen=True, slots=True)
class Needed:
    """The metrics that a study cannot do without: its objectives, and those of the baseline that constraints relate to.

    They are looked up once and not for each of 10,000 records.
    """

    objectives: frozenset[str]
    related: frozenset[str]

    @classmethod
    def of(cls, space: SearchSpace) -> Needed:
        """Those of a study of `space`."""
        related = (constraint.metric for constraint in space.constraints if constraint.is_relative)
        return cls(frozenset(objective.metric for objective in space.objectives), frozenset(related))


def require_told(entry: Entry, needed: Needed) -> None:
    """Raises ValueError where a trial with a result lacks an objective, or the baseline what constraints relate to."""
    record = entry.record
    if (record.state == "failed") != (record.outcome.failure is not None):
        raise ValueError(f"trial {record.number} is {record.state}, but its record says something else")
    if record.state == "failed":
        return
    is_told = record.state == "invalid" or needed.objectives <= entry.evidence.keys()
    metrics = Metrics.of(record.outcome.metrics)
    if not is_told or not metrics.has_all(needed.objectives):
        raise ValueError(f"trial {record.number} is {record.state}, but its record lacks an objective")
    if record.number == 0 and not metrics.has_all(needed.related):
        raise ValueError("the baseline's record lacks a metric that a constraint is relative to")


def _check(entry: Entry, violations: Mapping[str, float | None]) -> None:
    """Raises TypeError or ValueError where something is not of its kind; `violations` as they are written."""
    record, outcome = entry.record, entry.record.outcome
    require_whole("a trial's number", (record.number,))
    if record.state not in STATES:
        raise ValueError(f"a trial is {str(record.state)[:100]!r}")
    amounts = [amount for amount in violations.values() if amount is not None]
    seconds = [stage.seconds for stage in outcome.stages]
    require_finite(
        "times, violations and evidence",
        (record.started, record.finished, *amounts, *seconds, *entry.evidence.values()),
    )
    numbers = Metrics.of(outcome.metrics).numbers
    if numbers and not (min(numbers) >= -LARGEST_MEASURED and max(numbers) <= LARGEST_MEASURED):
        require_measured("metrics", numbers)  # which names it, and takes three times as long
    require_object("a trial's details", outcome.details)
    require_plain("a trial's details", outcome.details)
    require_texts("a trial's reasons and world", (*outcome.invalid, entry.world))


def _read(path: Path, space: SearchSpace | None = None) -> Entry:
    try:
        entry = Entry.from_json(json_value(read_plain_text(path)))
        if space is not None:
            require_told(entry, Needed.of(space))
        return entry
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyDamaged(
            f"{path} is not a whole record of a trial ({error}): move it away; its trial is run again"
        ) from error
