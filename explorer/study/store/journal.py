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
from explorer.observation import Observation, Reason
from explorer.parameters import PARAMETERS
from explorer.records import Failure, Metrics, Origin, Stage, TrialOutcome, TrialState, Variant
from explorer.space.values import SearchSpace
from explorer.study.result import TrialRecord
from explorer.study.store.validation import json_value, require_measured, require_whole, valid_variant
from explorer.system.files import read_plain_text, write_json
from explorer.typed_json import from_json, to_json

ARTIFACT_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""A name and no path, even in an untrusted record."""


@dataclass(frozen=True, slots=True)
class _StoredOutcome:
    """The format of an outcome."""

    variant: Mapping[str, Any]
    metrics: Mapping[str, Any]
    artifact: str | None
    stages: tuple[Stage, ...]
    observation: Observation | None
    failure: Failure | None
    reasons: tuple[Reason, ...]
    forked_from: Origin | None

    @classmethod
    def of(cls, outcome: TrialOutcome) -> _StoredOutcome:
        return cls(
            variant=outcome.variant.to_json(),
            metrics={name: measurement.to_json() for name, measurement in outcome.metrics.items()},
            artifact=outcome.artifact,
            stages=tuple(outcome.stages),
            observation=outcome.observation,
            failure=outcome.failure,
            reasons=outcome.reasons,
            forked_from=outcome.forked_from,
        )

    def outcome(self) -> TrialOutcome:
        """Return the inverse of `of`. Raises KeyError, TypeError or ValueError for values that no trial has."""
        if self.artifact is not None and not ARTIFACT_NAME.fullmatch(self.artifact):
            raise ValueError(f"{self.artifact[:100]!r} is not the name of an artifact")
        metrics = Metrics.from_json(self.metrics)
        require_measured("metrics", metrics.numbers)
        return TrialOutcome(
            valid_variant(Variant.from_json(self.variant)),
            metrics,
            self.artifact,
            self.stages,
            self.observation,
            self.failure,
            self.reasons,
            self.forked_from,
        )


@dataclass(frozen=True, slots=True)
class _StoredEntry:
    """The format of an entry. JSON has no infinity: null is the violation of a constraint whose metric is not known."""

    trial: int
    state: TrialState
    started: float
    finished: float
    violations: Mapping[str, float | None]
    outcome: _StoredOutcome
    first_measurements: Mapping[str, float]
    comparability: str


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
        violations = {text: None if math.isinf(v) else v for text, v in record.violations.items()}
        outcome = _StoredOutcome.of(record.outcome)
        times = (record.started, record.finished)
        first = self.first_measurements
        stored = _StoredEntry(record.number, record.state, *times, violations, outcome, first, self.comparability)
        values: dict[str, Any] = to_json(stored)
        return values

    @classmethod
    def from_json(cls, values: Any) -> Entry:
        """Return the inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        stored = from_json(_StoredEntry, values, "a trial's record")
        require_whole("a trial's number", (stored.trial,))
        violations = {text: math.inf if v is None else v for text, v in stored.violations.items()}
        outcome = stored.outcome.outcome()
        record = TrialRecord(stored.trial, stored.state, outcome, violations, stored.started, stored.finished)
        return cls(record, stored.first_measurements, stored.comparability)


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


def require_complete(entry: Entry, space: SearchSpace) -> None:
    """Raise ValueError if a result lacks an objective, or the baseline what constraints are relative to.

    Also for a variant that changes a parameter which the search space does not have.
    """
    record, variant = entry.record, entry.record.variant
    # A variant of a fork may name another parameter, at its baseline.
    unknown = [name for name in variant if name not in space.parameters]
    if changed := sorted(name for name in unknown if variant[name] != PARAMETERS[name].baseline):
        names = ", ".join(changed)
        raise ValueError(f"trial {record.number} has parameters that its search space does not have: {names}")
    if (record.state == "failed") != (record.outcome.failure is not None):
        raise ValueError(f"trial {record.number} is {record.state}, but its record says something else")
    if record.state == "failed":
        return
    metrics = Metrics.of(record.outcome.metrics)
    objectives = [objective.metric for objective in space.objectives]
    has_first = record.state == "invalid" or all(name in entry.first_measurements for name in objectives)
    if not has_first or not metrics.has_all(objectives):
        raise ValueError(f"trial {record.number} is {record.state}, but its record lacks an objective")
    if record.number == 0 and not metrics.has_all(one.metric for one in space.constraints if one.is_relative):
        raise ValueError("the baseline's record lacks a metric that a constraint is relative to")


def _read(path: Path, space: SearchSpace | None = None) -> Entry:
    try:
        entry = Entry.from_json(json_value(read_plain_text(path)))
        if space is not None:
            require_complete(entry, space)
        return entry
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyDamaged(
            f"{path} is not a whole record of a trial ({error}): move it away; its trial is run again"
        ) from error
