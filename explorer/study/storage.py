"""StudyStorage: the study in Optuna's own database, which `optuna` and `optuna-dashboard` read too.

A trial is two transactions: it begins as a row in state RUNNING with its parameters, and it ends with its record, its
constraints, its values and its final state at once. So a trial that Optuna calls complete has everything, and the disk
is waited for twice. Nothing that was written is kept in memory. A new database is filled beside its place and renamed.
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

from explorer.files import flush_to_disk
from explorer.objectives import Objective
from explorer.records import Variant
from explorer.study.database import check, connect, translated
from explorer.study.facts import StudyFacts
from explorer.study.journal import Entry
from explorer.study.place import Place
from explorer.study.sealed import FACTS_KEY, INTERRUPTED_KEY, RECORD_KEY, REFERENCE_KEY, sealed

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

VALIDITY = "the measurement is valid"
"""The constraint that a trial breaks whose times cannot be believed: so nobody who reads the database calls it best."""

_LARGEST_VIOLATION = 1e12  # stands for infinity, which the JSON of a browser does not know


class StudyStorage:
    """One study in one database, opened by its only writer. Methods raise StudyDamaged, StudyError, or OSError."""

    def __init__(self, storage: RDBStorage, study_id: int, place: Place) -> None:
        self._storage = storage
        self._study_id = study_id
        self._place = place
        self._running: dict[int, int] = {}  # Optuna's number of a trial to the database's, which it would search for

    @classmethod
    def open(cls, place: Place, name: str) -> StudyStorage:
        """Open the study `name`, which must be there; the file of a SQLite database is checked first."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if isinstance(place, Path):
            check(place)
        with translated(place):
            storage = _rdb_storage(place)
            try:
                return cls(storage, storage.get_study_id_from_name(name), place)
            except BaseException:
                storage.engine.dispose()
                raise

    @classmethod
    def create(cls, place: Place, facts: StudyFacts) -> StudyStorage:
        """Make a study and open it, replacing one of its name. A new file is whole or absent."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if isinstance(place, Path) and not place.exists():
            draft = place.with_name(f".{place.name}.draft")
            _remove(draft)
            try:
                with translated(place):
                    _create_study(_rdb_storage(draft, is_draft=True), facts)
                flush_to_disk(draft)
                os.replace(draft, place)
            finally:
                _remove(draft)
            flush_to_disk(place.parent)
        else:
            with translated(place):
                _create_study(_rdb_storage(place), facts)
        return cls.open(place, facts.space.name)

    def set_facts(self, facts: StudyFacts) -> None:
        """Replace what the study knows about itself."""
        with self._translated():
            self._storage.set_study_user_attr(self._study_id, FACTS_KEY, facts.to_json())

    def set_reference_point(self, reference_point: Mapping[str, float]) -> None:
        """Store the reference of the hypervolume."""
        with self._translated():
            self._storage.set_study_user_attr(self._study_id, REFERENCE_KEY, dict(reference_point))

    def begin(
        self,
        variant: Variant,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        started: float,
    ) -> int:
        """A new running trial with these parameters; returns its number."""
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
        """Store a running trial's entry and give the trial its final state."""
        record = entry.record
        violations = {**record.violations, VALIDITY: 1.0} if record.state == "invalid" else record.violations
        bounded = {text: min(_LARGEST_VIOLATION, amount) for text, amount in violations.items()}
        known = record.values()
        values = None if record.state == "failed" else [float(known[objective.metric]) for objective in objectives]
        self._end(record.number, {RECORD_KEY: sealed(entry)}, values, bounded)

    def interrupt(self, number: int) -> None:
        """End a running trial that has no result: it neither counts nor shows."""
        self._end(number, {INTERRUPTED_KEY: True}, None, {})

    def unfinished(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Number and attributes (`variant`, `started`) of the trials that a coordinator left running."""
        with self._translated():
            running = self._storage.get_all_trials(self._study_id, deepcopy=False, states=(TrialState.RUNNING,))
        self._running.update((trial.number, trial._trial_id) for trial in running)
        return [(trial.number, trial.user_attrs) for trial in running]

    def close(self) -> None:
        """Let the database go."""
        self._storage.scoped_session.remove()
        self._storage.engine.dispose()

    def _end(
        self,
        number: int,
        attributes: Mapping[str, Any],
        values: Sequence[float] | None,
        constraints: Mapping[str, float],
    ) -> None:
        """Give a running trial all that it will have, `values` None meaning that it failed, in one transaction."""
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        # Under which names a trial has its constraints is Optuna's to know.
        system_attributes = create_trial(state=TrialState.RUNNING, constraints=dict(constraints)).system_attrs
        storage = self._storage
        with self._translated(), _one_transaction(storage):
            trial = self._running[number]
            for key, value in attributes.items():
                storage.set_trial_user_attr(trial, key, value)
            for key, value in system_attributes.items():
                storage.set_trial_system_attr(trial, key, value)
            storage.set_trial_state_values(trial, state, values)
        del self._running[number]

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._place)


def _remove(draft: Path) -> None:
    """Remove a database that was not completed, with its journal."""
    for leftover in draft.parent.glob(f"{draft.name}*"):
        leftover.unlink()


@contextmanager
def _one_transaction(storage: RDBStorage) -> Iterator[None]:
    """What the storage's methods write in the block is written at its end, all of it or nothing.

    Each method commits the session that it works in; this one has joined a transaction that it can only roll back.
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
    """Make the study in that database, replacing one of its name, and let the database go."""
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


def _rdb_storage(place: Place, is_draft: bool = False) -> RDBStorage:
    """Optuna's storage in that database; makes the tables that are missing."""
    if isinstance(place, Path):
        creator: Callable[[], Any] = lambda: connect(place, is_draft=is_draft)  # noqa: E731
        return optuna.storages.RDBStorage(f"sqlite:///{place}", engine_kwargs={"creator": creator})
    return optuna.storages.RDBStorage(place)
