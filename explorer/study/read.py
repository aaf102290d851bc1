"""Read a study, running or finished, from its database and folder.

Trials are read by SQL from the tables of Optuna's database, which are the same in every supported database: 10,000
trials take about a second, and several through Optuna.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import UsageError
from explorer.space.values import SearchSpace
from explorer.study.confirm.confirmation import Confirmation, read_confirmation
from explorer.study.result import StudyResult
from explorer.study.store.database import BUSY_TIMEOUT_S, damaged, engine_to_read, translated
from explorer.study.store.facts import FACTS_KEY, RECORD_KEY, REFERENCE_KEY, StudyFacts, from_checksummed
from explorer.study.store.journal import Entry, Journal, require_complete
from explorer.study.store.location import StorageLocation, storage_location
from explorer.study.store.validation import json_value, require_measured
from explorer.tasks.task import TASKS

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
    """A study as stored in its database: facts, finished trials by number, the hypervolume's reference point."""

    facts: StudyFacts
    entries: tuple[Entry, ...]
    reference_point: Mapping[str, float] | None

    def result(self, folder: Path) -> StudyResult:
        """Return the study for views, with the confirmation in its folder. Raises StudyDamaged when that is damaged."""
        trials = tuple(entry.record for entry in self.entries)
        return study_result(self.facts, folder, trials, self.reference_point, read_confirmation(folder))


def study_result(
    facts: StudyFacts,
    folder: Path,
    trials: tuple[Any, ...],
    reference_point: Mapping[str, float] | None,
    confirmation: Confirmation | None,
) -> StudyResult:
    """Return the study for views, with these trials."""
    return StudyResult(
        name=facts.space.name,
        folder=folder,
        space=facts.space,
        trials=trials,
        provenance={**facts.provenance, "identity": dict(facts.identity)},
        reference_point=reference_point,
        confirmation=confirmation,
    )


def load_result(folder: Path, name: str | None = None, storage_url: str | None = None) -> StudyResult:
    """Return everything that the study in `folder`, possibly running, has found so far.

    `name` selects a study where the database holds several (default: the folder's name, or the only one). Raises
    UsageError when there is no such study, StudyDamaged or StudyError when its database cannot be read, NotAvailable
    when its driver is not installed.
    """
    database = storage_location(folder, storage_url)
    stored = read_study(database, name or folder.name, is_only_one_taken=name is None)
    if stored is None:
        require_no_trials(folder, database)
        raise UsageError(f"no study in {folder}: `explore start SPACE.yaml` makes one")
    return stored.result(folder)


def read_study(
    database: StorageLocation,
    name: str,
    is_only_one_taken: bool = False,
    first: int = 0,
    timeout_s: float = BUSY_TIMEOUT_S,
) -> StoredStudy | None:
    """Return the study `name` of that database, with trials from number `first` on; None when there is none.

    With `is_only_one_taken`, the database's only study is returned whatever its name. `timeout_s` is how long another
    program may keep a file locked. Raises StudyDamaged, StudyError, NotAvailable, OSError.
    """
    if isinstance(database, Path) and not database.is_file():
        return None
    TASKS.require_readable()  # SQLAlchemy reads entry points too, and its errors would be taken for damage
    with translated(database):
        engine = engine_to_read(database, timeout_s, is_checked=first == 0)
        try:
            with engine.connect() as connection:
                return _read(connection, database, name, is_only_one_taken, first)
        finally:
            engine.dispose()


def require_no_trials(folder: Path, database: StorageLocation) -> None:
    """Raise StudyDamaged when the folder holds trials of a study that the database does not have."""
    if n_trials := len(Journal(folder).numbers()):
        raise damaged(database, f"it does not hold the study whose {n_trials} trials are in {folder}")


def _read(
    connection: Connection, database: StorageLocation, name: str, is_only_one_taken: bool, first: int
) -> StoredStudy | None:
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
            entries = tuple(_entry(row.number, row.state, row.value_json, facts.space) for row in rows)
        for first_one, second in pairwise(entries):  # they are in the order of their numbers
            if first_one.record.number == second.record.number:
                raise ValueError(f"trial {second.record.number} is there twice")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(database, str(error)) from error
    return StoredStudy(facts, entries, reference)


def _entry(number: int, state: str, text: str, space: SearchSpace) -> Entry:
    """Return that trial's entry, checked for what its study needs. Raises as `from_checksummed`."""
    entry = from_checksummed(text)
    record = entry.record
    if record.number != number or (record.state == "failed") != (state == "FAIL"):
        raise ValueError(f"trial {number} is {state}, but its record is of trial {record.number}")
    require_complete(entry, space)
    return entry


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable the garbage collector, whose repeated searches for cycles find none in what is read."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
