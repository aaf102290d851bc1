"""The journal: every finished trial as one JSON file beside the artifacts, written before the database.

A trial with a whole journal entry is never lost: a database that lacks it is completed from the journal, and a damaged
database is replaced by a new study that is forked from the journal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.errors import StudyDamaged
from explorer.observation import Observation
from explorer.parameters import PARAMETERS
from explorer.records import Metrics, Origin, TrialOutcome, Variant
from explorer.space.values import SearchSpace
from explorer.study.result import TrialRecord
from explorer.study.store.validation import (
    LARGEST_MEASURED,
    STATES,
    json_value,
    require_finite,
    require_measured,
    require_texts,
    require_whole,
    valid_failure,
    valid_reasons,
    valid_stage,
    valid_variant,
)
from explorer.system.files import read_plain_text, write_json
from explorer.typed_json import from_json, to_json

_ARTIFACT = re.compile(r"[A-Za-z0-9_-]+")  # a name and no path, even in an untrusted record


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished trial as stored.

    `first_measurements` are the metrics that samplers get (`study.search.first_measurements`). `comparability` is the
    key of all that the metrics depend on besides the variant (`study.comparability`).
    """

    record: TrialRecord
    first_measurements: Mapping[str, float]
    comparability: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values, without NaN or infinities."""
        record = self.record
        return {
            "trial": record.number,
            "state": record.state,
            "started": record.started,
            "finished": record.finished,
            # JSON has no infinity: null is the violation of a constraint whose metric is not known.
            "violations": {text: None if math.isinf(v) else v for text, v in record.violations.items()},
            "outcome": outcome_to_json(record.outcome),
            "evidence": dict(self.first_measurements),
            "world": self.comparability,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Entry:
        """Return the inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
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
        """Store an entry durably. Raises OSError."""
        write_json(self._path(entry.record.number), entry.to_json())

    def read(self, number: int, space: SearchSpace | None = None) -> Entry | None:
        """Return the entry of that trial; None when there is none.

        Raises StudyDamaged when it cannot be read, or lacks what a study of `space` needs.
        """
        return _read(self._path(number), space) if self._path(number).is_file() else None

    def numbers(self) -> list[int]:
        """Return the numbers of the trials that have an entry."""
        return sorted(int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal())

    def remove(self, number: int) -> None:
        """Remove an entry, if there is one."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"


def outcome_to_json(outcome: TrialOutcome) -> dict[str, Any]:
    """Return an outcome as JSON-ready values."""
    return {
        "variant": outcome.variant.to_json(),
        "metrics": {name: measurement.to_json() for name, measurement in outcome.metrics.items()},
        "artifact": outcome.artifact,
        "stages": [to_json(stage) for stage in outcome.stages],
        "observation": to_json(outcome.observation),
        "failure": to_json(outcome.failure),
        "reasons": to_json(outcome.reasons),
        "forked_from": to_json(outcome.forked_from),
    }


def outcome_from_json(values: Mapping[str, Any]) -> TrialOutcome:
    """Return the inverse of `outcome_to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    if values["artifact"] is not None and not _ARTIFACT.fullmatch(values["artifact"]):
        raise ValueError(f"{values['artifact'][:100]!r} is not the name of an artifact")
    observed, origin = values["observation"], values["forked_from"]
    return TrialOutcome(
        variant=valid_variant(Variant.from_json(values["variant"])),
        metrics=Metrics.from_json(values["metrics"]),
        artifact=values["artifact"],
        stages=tuple(map(valid_stage, values["stages"])),
        observed=None if observed is None else Observation.from_json(observed),
        failure=valid_failure(values["failure"]),
        reasons=valid_reasons(values["reasons"]),
        forked_from=None if origin is None else from_json(Origin, origin),
    )


@dataclass(frozen=True, slots=True)
class Needed:
    """What a study needs of a record: its objectives, the baseline's metrics to which constraints are relative, and a
    variant that changes no other parameters than its own.

    They are computed once and not for each of 10,000 records.
    """

    objectives: frozenset[str]
    related: frozenset[str]
    parameters: frozenset[str]

    @classmethod
    def of(cls, space: SearchSpace) -> Needed:
        """Return those of a study of `space`."""
        related = (constraint.metric for constraint in space.constraints if constraint.is_relative)
        return cls(
            frozenset(objective.metric for objective in space.objectives),
            frozenset(related),
            frozenset(space.parameters),
        )


def require_complete(entry: Entry, needed: Needed) -> None:
    """Raise ValueError if a result lacks an objective, or the baseline what constraints are relative to.

    Also for a variant that changes a parameter which the search space does not have.
    """
    record = entry.record
    variant = record.outcome.variant
    if not needed.parameters.issuperset(variant):  # one of a fork may name another parameter, at its baseline
        unknown = sorted(set(variant) - needed.parameters)
        if changed := [name for name in unknown if variant[name] != PARAMETERS[name].baseline]:
            names = ", ".join(changed)
            raise ValueError(f"trial {record.number} has parameters that its search space does not have: {names}")
    if (record.state == "failed") != (record.outcome.failure is not None):
        raise ValueError(f"trial {record.number} is {record.state}, but its record says something else")
    if record.state == "failed":
        return
    has_first = record.state == "invalid" or needed.objectives <= entry.first_measurements.keys()
    metrics = Metrics.of(record.outcome.metrics)
    if not has_first or not metrics.has_all(needed.objectives):
        raise ValueError(f"trial {record.number} is {record.state}, but its record lacks an objective")
    if record.number == 0 and not metrics.has_all(needed.related):
        raise ValueError("the baseline's record lacks a metric that a constraint is relative to")


def _check(entry: Entry, violations: Mapping[str, float | None]) -> None:
    """Raise TypeError or ValueError for values of another type; `violations` as they are written."""
    record, outcome = entry.record, entry.record.outcome
    require_whole("a trial's number", (record.number,))
    if record.state not in STATES:
        raise ValueError(f"a trial is {str(record.state)[:100]!r}")
    amounts = [amount for amount in violations.values() if amount is not None]
    seconds = [stage.seconds for stage in outcome.stages]
    require_finite(
        "times, violations and first measurements",
        (record.started, record.finished, *amounts, *seconds, *entry.first_measurements.values()),
    )
    numbers = Metrics.of(outcome.metrics).numbers
    if numbers and not (min(numbers) >= -LARGEST_MEASURED and max(numbers) <= LARGEST_MEASURED):
        require_measured("metrics", numbers)  # which names it, and takes three times as long
    require_texts("a trial's world", (entry.comparability,))


def _read(path: Path, space: SearchSpace | None = None) -> Entry:
    try:
        entry = Entry.from_json(json_value(read_plain_text(path)))
        if space is not None:
            require_complete(entry, Needed.of(space))
        return entry
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyDamaged(
            f"{path} is not a whole record of a trial ({error}): move it away; its trial is run again"
        ) from error
