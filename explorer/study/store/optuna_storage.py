"""StudyStorage: the study in Optuna's own database, which `optuna` and `optuna-dashboard` can read too.

A trial is two transactions: it begins as a row in state RUNNING with its parameters; it ends with its record,
constraints, values and final state at once. So a trial that Optuna calls complete has everything, and the disk is
waited for twice. A new database is filled in a draft and renamed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState, create_trial

from explorer.metrics import Objective
from explorer.records import Variant
from explorer.study.store.database import check, connect, remove_leftovers, translated
from explorer.study.store.facts import FACTS_KEY, INTERRUPTED_KEY, RECORD_KEY, REFERENCE_KEY, StudyFacts, checksummed
from explorer.study.store.journal import Entry
from explorer.study.store.location import StorageLocation
from explorer.system.files import flush_to_disk

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

VALIDITY = "the measurement is valid"
"""The constraint that an invalid trial breaks, so that no reader of the database ranks it as best."""

_REOPEN = "UPDATE trials SET state = 'RUNNING' WHERE trial_id = :trial"
_LARGEST_VIOLATION = 1e12  # stands for infinity, which the JSON of a browser does not know


class StudyStorage:
    """One study in one database, opened by its only writer. Methods raise StudyDamaged, StudyError, or OSError."""

    def __init__(self, storage: RDBStorage, study_id: int, location: StorageLocation) -> None:
        self._storage = storage
        self._study_id = study_id
        self._location = location
        self._running: dict[int, int] = {}  # Optuna's number of a trial to the database's, which it would search for

    @classmethod
    def open(cls, location: StorageLocation, name: str) -> StudyStorage:
        """Open the existing study `name`; the file of a SQLite database is checked first."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if isinstance(location, Path):
            check(location)
        with translated(location):
            storage = _rdb_storage(location)
            try:
                return cls(storage, storage.get_study_id_from_name(name), location)
            except BaseException:
                storage.engine.dispose()
                raise

    @classmethod
    def create(cls, location: StorageLocation, facts: StudyFacts) -> StudyStorage:
        """Create and open a study, replacing one of the same name. A new file is whole or absent."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if isinstance(location, Path) and not location.exists():
            draft = location.with_name(f".{location.name}.draft")
            _remove(draft)
            try:
                with translated(location):
                    _create_study(_rdb_storage(draft, is_draft=True), facts)
                flush_to_disk(draft)
                remove_leftovers(location)
                os.replace(draft, location)
            finally:
                _remove(draft)
            flush_to_disk(location.parent)
        else:
            if isinstance(location, Path):
                check(location, "quick_check")
            with translated(location):
                _create_study(_rdb_storage(location), facts)
        return cls.open(location, facts.space.name)

    def set_facts(self, facts: StudyFacts) -> None:
        """Replace the study's facts."""
        with self._translated():
            self._storage.set_study_user_attr(self._study_id, FACTS_KEY, facts.to_json())

    def set_reference_point(self, reference_point: Mapping[str, float]) -> None:
        """Store the hypervolume's reference point."""
        with self._translated():
            self._storage.set_study_user_attr(self._study_id, REFERENCE_KEY, dict(reference_point))

    def begin(
        self,
        variant: Variant,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        started: float,
    ) -> int:
        """Create a running trial with these parameters and return its number."""
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={"variant": variant.to_json(), "started": started},
        )
        with self._translated():
            trial_id = self._storage.create_new_trial(self._study_id, trial)
            number = self._storage.get_trial_number_from_id(trial_id)
        self._running[number] = trial_id
        return number

    def finish(self, entry: Entry, objectives: Iterable[Objective]) -> None:
        """Store a running trial's entry and its final state."""
        record = entry.record
        violations = {**record.violations, VALIDITY: 1.0} if record.state == "invalid" else record.violations
        bounded = {name: min(_LARGEST_VIOLATION, amount) for name, amount in violations.items()}
        known = record.values()
        values = None if record.state == "failed" else [float(known[objective.metric]) for objective in objectives]
        self._end(record.number, {RECORD_KEY: checksummed(entry)}, values, bounded)

    def replace(self, entry: Entry, objectives: Iterable[Objective]) -> None:
        """Store another entry of a finished trial, which was judged again."""
        with self._translated():
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, entry.record.number)
        self._running[entry.record.number] = trial_id
        self.finish(entry, objectives)

    def interrupt(self, number: int) -> None:
        """End a running trial without a result; it does not count."""
        self._end(number, {INTERRUPTED_KEY: True}, None, {})

    def unfinished(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Return number and attributes (`variant`, `started`) of the trials that a coordinator left running."""
        with self._translated():
            running = self._storage.get_all_trials(self._study_id, deepcopy=False, states=(TrialState.RUNNING,))
        self._running.update((trial.number, trial._trial_id) for trial in running)
        return [(trial.number, trial.user_attrs) for trial in running]

    def close(self) -> None:
        """Close the database."""
        self._storage.scoped_session.remove()
        self._storage.engine.dispose()

    def _end(
        self,
        number: int,
        attributes: Mapping[str, Any],
        values: Sequence[float] | None,
        constraints: Mapping[str, float],
    ) -> None:
        """Store a running trial's final values in one transaction; `values` None: it failed."""
        from sqlalchemy import text

        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        # Under which names a trial has its constraints is Optuna's to know.
        system_attributes = create_trial(state=TrialState.RUNNING, constraints=dict(constraints)).system_attrs
        storage = self._storage
        with self._translated(), _one_transaction(storage):
            trial = self._running[number]
            # One that is judged again was complete, which Optuna changes no more.
            storage.scoped_session().execute(text(_REOPEN), {"trial": trial})
            for key, value in attributes.items():
                storage.set_trial_user_attr(trial, key, value)
            for key, value in system_attributes.items():
                storage.set_trial_system_attr(trial, key, value)
            storage.set_trial_state_values(trial, state, values)
        del self._running[number]

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._location)


def _remove(draft: Path) -> None:
    for leftover in draft.parent.glob(f"{draft.name}*"):
        leftover.unlink()


@contextmanager
def _one_transaction(storage: RDBStorage) -> Iterator[None]:
    """Commit what the storage's methods write in the block at its end, all or nothing.

    Each method commits its session; here the session joins a transaction that it can only roll back.
    """
    session = storage.scoped_session
    session.remove()
    try:
        with storage.engine.connect() as connection, connection.begin() as transaction:
            session(bind=connection, join_transaction_mode="rollback_only")
            yield
            transaction.commit()  # raises when it was rolled back within
    finally:
        session.remove()


def _create_study(storage: RDBStorage, facts: StudyFacts) -> None:
    """Create the study in that database, replacing one of its name, and close the database."""
    try:
        name = facts.space.name
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        directions = [objective.direction for objective in facts.space.objectives]
        study = optuna.create_study(study_name=name, storage=storage, directions=directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([objective.metric for objective in facts.space.objectives])
        study.set_user_attr(FACTS_KEY, facts.to_json())
    finally:
        storage.scoped_session.remove()
        storage.engine.dispose()


def _rdb_storage(location: StorageLocation, is_draft: bool = False) -> RDBStorage:
    """Return Optuna's storage in that database; creates missing tables."""
    if isinstance(location, Path):
        creator: Callable[[], Any] = lambda: connect(location, is_draft=is_draft)  # noqa: E731
        return optuna.storages.RDBStorage(f"sqlite:///{location}", engine_kwargs={"creator": creator})
    return optuna.storages.RDBStorage(location)
