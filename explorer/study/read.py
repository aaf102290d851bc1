"""Reading a study: everything that it has found so far, whether it runs, is finished, or was killed.

Trials are read by SQL from the tables of Optuna's database (the same in every database that it supports): 10,000
trials take about a second so, and several through Optuna.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import UsageError
from explorer.study.confirmation import Confirmation
from explorer.study.confirmation_file import read_confirmation
from explorer.study.database import Connector, check, connect_to_read, damaged, engine_to_read, translated
from explorer.study.facts import StudyFacts
from explorer.study.journal import Entry, Journal, Needed, require_told
from explorer.study.place import Place, study_place
from explorer.study.result import StudyResult
from explorer.study.sealed import FACTS_KEY, RECORD_KEY, REFERENCE_KEY, unsealed
from explorer.study.sound import json_value, require_measured

if TYPE_CHECKING:
    from sqlalchemy import Connection

_STUDIES = "SELECT study_id, study_name FROM studies"
_FACTS = "SELECT key, value_json FROM study_user_attributes WHERE study_id = :study"
_RECORDS = """
    SELECT trials.number, trials.state, trial_user_attributes.value_json FROM trials
    JOIN trial_user_attributes ON trial_user_attributes.trial_id = trials.trial_id
    WHERE trials.study_id = :study AND trials.state IN ('COMPLETE', 'FAIL') AND trial_user_attributes.key = :key
    AND trials.number >= :first
    ORDER BY trials.number
"""


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study as its database has it: the facts, the finished trials by number, the reference of the hypervolume."""

    facts: StudyFacts
    entries: tuple[Entry, ...]
    reference_point: Mapping[str, float] | None

    def result(self, folder: Path) -> StudyResult:
        """The study as views see it, with the confirmation in its folder. Raises StudyDamaged when that is damaged."""
        trials = tuple(entry.record for entry in self.entries)
        return study_result(self.facts, folder, trials, self.reference_point, read_confirmation(folder))


def study_result(
    facts: StudyFacts,
    folder: Path,
    trials: tuple[Any, ...],
    reference_point: Mapping[str, float] | None,
    confirmation: Confirmation | None,
) -> StudyResult:
    """The study as views see it, with these trials."""
    return StudyResult(
        name=facts.space.name,
        folder=folder,
        space=facts.space,
        trials=trials,
        provenance={**facts.provenance, "identity": dict(facts.identity)},
        reference_point=reference_point,
        n_classes=facts.n_classes,
        confirmation=confirmation,
    )


def load_result(folder: Path, name: str | None = None, storage_url: str | None = None) -> StudyResult:
    """Everything that the study in `folder` has found so far; it may be running.

    `name` is the study's name where the database holds several (default: the folder's name, or the only one).
    Raises UsageError when there is no such study, StudyDamaged or StudyError when its database does not read,
    NotAvailable when that needs a driver that is not installed.
    """
    place = study_place(folder, storage_url)
    stored = read_study(place, name or folder.name, is_only_one_taken=name is None)
    if stored is None:
        require_no_trials(folder, place)
        raise UsageError(f"no study in {folder}: `explore start SPACE.yaml` makes one")
    return stored.result(folder)


def read_study(
    place: Place,
    name: str,
    is_only_one_taken: bool = False,
    first: int = 0,
    connector: Connector = connect_to_read,
) -> StoredStudy | None:
    """The study `name` of that database, its trials from number `first` on; None without such a study or database.

    With `is_only_one_taken`, the database's only study is meant whatever its name. Raises StudyDamaged, StudyError,
    NotAvailable, OSError.
    """
    if isinstance(place, Path):
        if not place.is_file():
            return None
        if first == 0:
            check(place, "quick_check", connector)
    with translated(place):
        engine = engine_to_read(place, connector)
        try:
            with engine.connect() as connection:
                return _read(connection, place, name, is_only_one_taken, first)
        finally:
            engine.dispose()


def require_no_trials(folder: Path, place: Place) -> None:
    """Raises StudyDamaged when the study's trials are in the folder, though the database does not know the study."""
    if n_trials := len(Journal(folder).numbers()):
        raise damaged(place, f"it does not hold the study whose {n_trials} trials are in {folder}")


def _read(connection: Connection, place: Place, name: str, is_only_one_taken: bool, first: int) -> StoredStudy | None:
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("studies"):
        return None
    studies = {row.study_name: row.study_id for row in connection.execute(text(_STUDIES))}
    if name not in studies and is_only_one_taken and len(studies) == 1:
        name = next(iter(studies))
    if name not in studies:
        return None
    study = studies[name]
    attributes = {row.key: row.value_json for row in connection.execute(text(_FACTS), {"study": study})}
    if FACTS_KEY not in attributes:
        return None
    rows = connection.execute(text(_RECORDS), {"study": study, "key": RECORD_KEY, "first": first})
    try:
        facts = StudyFacts.from_json(json_value(attributes[FACTS_KEY]))
        objectives = {objective.metric for objective in facts.space.objectives}
        reference = json_value(attributes.get(REFERENCE_KEY, "null"))
        if reference is not None:
            require_measured("its reference point", [reference[metric] for metric in objectives])
        with _uncollected():
            needed = Needed.of(facts.space)
            entries = tuple(_entry(row.number, row.state, row.value_json, needed) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(place, str(error)) from error
    return StoredStudy(facts, entries, reference)


def _entry(number: int, state: str, text: str, needed: Needed) -> Entry:
    """The entry of that trial, with all that its study needs of it. Raises as `unsealed` does."""
    entry = unsealed(text)
    record = entry.record
    if record.number != number or (record.state == "failed") != (state == "FAIL"):
        raise ValueError(f"trial {number} is {state}, but its record is of trial {record.number}")
    require_told(entry, needed)
    return entry


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles of garbage: what is read has none, and would be searched again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
