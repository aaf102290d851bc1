"""StudyStorage: the study in Optuna's own database, which `optuna` and `optuna-dashboard` read too.

A trial is one row in state RUNNING from `begin` on. Its record and its constraints are written before `tell`, which
is last: a trial that Optuna calls complete has everything. A new database is filled beside its place and renamed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial, TrialState

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

    def __init__(self, storage: RDBStorage, study: optuna.Study, place: Place) -> None:
        self._storage = storage
        self._study = study
        self._place = place
        self._trials: dict[int, Trial] = {}

    @classmethod
    def open(cls, place: Place, name: str) -> StudyStorage:
        """Open the study `name`, which must be there; the file of a SQLite database is checked first."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if isinstance(place, Path):
            check(place)
        with translated(place):
            storage = _rdb_storage(place)
            try:
                # The proposals come from elsewhere; this sampler is never asked.
                sampler = optuna.samplers.RandomSampler(seed=0)
                return cls(storage, optuna.load_study(study_name=name, storage=storage, sampler=sampler), place)
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
            self._study.set_user_attr(FACTS_KEY, facts.to_json())

    def set_reference_point(self, reference_point: Mapping[str, float]) -> None:
        """Store the reference of the hypervolume."""
        with self._translated():
            self._study.set_user_attr(REFERENCE_KEY, dict(reference_point))

    def begin(
        self,
        variant: Variant,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        started: float,
    ) -> int:
        """A new running trial with these parameters; returns its number."""
        with self._translated():
            attributes = {"variant": variant.to_json(), "started": started}
            self._study.enqueue_trial(dict(params), user_attrs=attributes)
            trial = self._study.ask(dict(distributions))
        self._trials[trial.number] = trial
        return trial.number

    def finish(self, entry: Entry, objectives: Iterable[Objective]) -> None:
        """Store a running trial's entry and give the trial its final state."""
        record = entry.record
        with self._translated():
            trial = self._trial(record.number)
            trial.set_user_attr(RECORD_KEY, sealed(entry))
            violations = {**record.violations, VALIDITY: 1.0} if record.state == "invalid" else record.violations
            for text in violations.keys() - trial.constraints.keys():
                trial.set_constraint(text, min(_LARGEST_VIOLATION, violations[text]))
            if record.state == "failed":
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                values = record.values()
                self._study.tell(trial, [values[objective.metric] for objective in objectives])
        self._trials.pop(record.number, None)

    def interrupt(self, number: int) -> None:
        """End a running trial that has no result: it neither counts nor shows."""
        with self._translated():
            trial = self._trial(number)
            trial.set_user_attr(INTERRUPTED_KEY, True)
            self._study.tell(trial, state=TrialState.FAIL)
        self._trials.pop(number, None)

    def unfinished(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Number and attributes (`variant`, `started`) of the trials that a coordinator left running."""
        with self._translated():
            while self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self._study.ask()  # it was killed between the two halves of `begin`
            running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            return [(trial.number, trial.user_attrs) for trial in running]

    def close(self) -> None:
        """Let the database go."""
        self._storage.scoped_session.remove()
        self._storage.engine.dispose()

    def _trial(self, number: int) -> Trial:
        if number not in self._trials:
            study_id = self._storage.get_study_id_from_name(self._study.study_name)
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
            self._trials[number] = Trial(self._study, trial_id)
        return self._trials[number]

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._place)


def _remove(draft: Path) -> None:
    """Remove a database that was not completed, with its journal."""
    for leftover in draft.parent.glob(f"{draft.name}*"):
        leftover.unlink()


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
