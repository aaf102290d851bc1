from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from fakes import TASK, VOCABULARY, known_metrics, small_space
from optuna.storages import RDBStorage

from explorer.errors import StudyDamaged, StudyError
from explorer.records import Failure, Measurement, TrialOutcome, Variant
from explorer.study.read import read_study
from explorer.study.result import TrialRecord
from explorer.study.search.grid import Grid
from explorer.study.store.facts import StudyFacts
from explorer.study.store.journal import Entry
from explorer.study.store.optuna_storage import VALIDITY, StudyStorage

SPACE = small_space(width=(0.5, 1.0, (0.5, 1.0)))
FACTS = StudyFacts(SPACE, {"torch": "2.15"}, {"host": "x", "task": TASK}, "w")
GRID = Grid(SPACE, VOCABULARY)


def entry(number: int, failure: Failure | None = None) -> Entry:
    metrics = (
        {} if failure else {name: Measurement(value) for name, value in known_metrics(GRID.variant(number)).items()}
    )
    outcome = TrialOutcome(GRID.variant(number), metrics, "a", failure=failure)
    record = TrialRecord(number, "failed" if failure else "complete", outcome, {"a": -1.0}, 1.0, 2.0)
    return Entry(record, record.values(), "w")


def begin(storage: StudyStorage, index: int) -> int:
    return storage.begin(GRID.variant(index), GRID.params(index), GRID.distributions, 1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


@pytest.fixture
def storage(path: Path):
    opened = StudyStorage.create(path, FACTS)
    yield opened
    opened.close()


def test_storage_finished_trials_are_read_back(storage, path):
    entries = [entry(0), entry(1, Failure.reported("x", "y")), entry(2)]
    for index, one in enumerate(entries):
        assert begin(storage, index) == index
        storage.finish(one, SPACE.objectives)
    reference = {objective.metric: 0.1 for objective in SPACE.objectives}
    storage.set_reference_point(reference)
    stored = read_study(path, "small")
    assert stored is not None
    assert stored.entries == tuple(entries)
    assert stored.facts == FACTS
    assert stored.reference_point == reference


def test_storage_running_and_interrupted_trials_are_not_read(storage, path):
    begin(storage, 0)
    storage.interrupt(begin(storage, 1))
    stored = read_study(path, "small")
    assert stored is not None
    assert stored.entries == ()


def test_storage_unfinished_trials_of_a_dead_coordinator_are_found_and_can_be_finished(storage, path):
    for index in range(2):
        begin(storage, index)
    later = StudyStorage.open(path, "small")
    found = later.unfinished()
    assert [(number, attributes["variant"]) for number, attributes in found] == [
        (index, GRID.variant(index).to_json()) for index in (0, 1)
    ]
    later.finish(entry(0), SPACE.objectives)
    later.interrupt(1)
    assert later.unfinished() == []
    later.close()


def test_storage_finish_that_breaks_off_leaves_the_trial_running_and_without_a_record(storage, path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    begin(storage, 0)
    monkeypatch.setattr(RDBStorage, "set_trial_state_values", full)
    with pytest.raises(OSError, match="No space left on device"):
        storage.finish(entry(0), SPACE.objectives)
    monkeypatch.undo()
    (trial,) = optuna.load_study(study_name="small", storage=f"sqlite:///{path}").trials
    assert (trial.state.name, set(trial.user_attrs), trial.constraints) == ("RUNNING", {"variant", "started"}, {})
    storage.finish(entry(0), SPACE.objectives)
    (trial,) = optuna.load_study(study_name="small", storage=f"sqlite:///{path}").trials
    assert (trial.state.name, trial.params, trial.constraints) == ("COMPLETE", GRID.params(0), {"a": -1.0})


def test_storage_create_removes_the_draft_of_a_killed_one(tmp_path, path):
    for name in (".study.db.draft", ".study.db.draft-journal"):
        (tmp_path / name).write_bytes(b"half a database")
    StudyStorage.create(path, FACTS).close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.db"]


def test_storage_create_again_replaces_the_study(storage, path):
    begin(storage, 0)
    storage.close()
    again = StudyStorage.create(path, FACTS)
    assert begin(again, 5) == 0
    again.close()


def test_storage_folder_that_is_missing_is_a_sentence(tmp_path):
    with pytest.raises(StudyError, match="the study's database cannot be used"):
        StudyStorage.create(tmp_path / "missing" / "study.db", FACTS)


def test_storage_open_file_that_is_no_database_is_damage(path):
    path.write_text("no database at all, but long enough to look at" * 100)
    with pytest.raises(StudyDamaged, match="is not a database"):
        StudyStorage.open(path, "small")


@pytest.mark.parametrize("key", ["format", "space", "identity", "comparability"])
def test_facts_survive_json_and_a_missing_one_is_noticed(key):
    values = FACTS.to_json()
    assert StudyFacts.from_json(values) == FACTS
    del values[key]
    with pytest.raises((KeyError, TypeError), match=key):
        StudyFacts.from_json(values)


def test_facts_of_another_format_are_refused():
    with pytest.raises(ValueError, match="format 99, this version reads 2"):
        StudyFacts.from_json({**FACTS.to_json(), "format": 99})


def test_begin_off_the_grid_has_no_parameters(storage, path):
    storage.begin(Variant(width=0.33), {}, {}, 1.0)
    (trial,) = optuna.load_study(study_name="small", storage=f"sqlite:///{path}").trials
    assert (trial.params, trial.user_attrs["variant"]["width"]) == ({}, 0.33)


def test_storage_invalid_trial_is_complete_and_never_optunas_best(storage, path):
    for index in range(2):
        begin(storage, index)
    best = entry(0)
    invalid = replace(best.record, state="invalid", violations={"a": -2.0})
    storage.finish(replace(best, record=invalid), SPACE.objectives)
    storage.finish(entry(1), SPACE.objectives)
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{path}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
    assert study.trials[0].constraints == {"a": -2.0, VALIDITY: 1.0}
    assert [trial.number for trial in study.best_trials] == [1]
    stored = read_study(path, "small")
    assert [one.record.state for one in stored.entries] == ["invalid", "complete"]
