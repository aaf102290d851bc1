"""A session under any sequence of steps, interruptions and deaths: every trial ends once, and stays what it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from fakes import GAP, TASK, VOCABULARY, known_metrics, small_space
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from explorer.errors import StudyDamaged
from explorer.metrics import Constraint
from explorer.records import Failure, Measurement, TrialOutcome, Variant
from explorer.study.evaluation import Prepared
from explorer.study.read import load_result
from explorer.study.result import TrialRecord
from explorer.study.session import Session, open_session, stored_study
from explorer.study.store.location import StudyLocation

SPACE = small_space(n_trials=100)
RELATIVE = small_space(constraints=(Constraint("accuracy", ">=", 0.5, is_relative=True),))
PREPARED = Prepared({"torch": "2.15"}, {"host": "fake", "task": TASK})
HOW = st.sampled_from(["measured", "failed", "invalid"])


class Died(Exception):
    """The process ended here."""


def outcome(variant: Variant, how: str) -> TrialOutcome:
    if how == "failed":
        return TrialOutcome(variant, failure=Failure.reported("x", "y"))
    metrics = {name: Measurement(value) for name, value in known_metrics(variant).items()}
    return TrialOutcome(variant, metrics, "a1", reasons=(GAP,) if how == "invalid" else ())


class TrialsOfASession(RuleBasedStateMachine):
    """What should be known: the finished trials as they were returned, the interrupted ones, the one that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "small"
        self.folder.mkdir()
        self.finished: dict[int, TrialRecord] = {}
        self.interrupted: set[int] = set()
        self.running: tuple[int, Variant] | None = None
        self.session = self.opened()

    def opened(self) -> Session:
        stored = stored_study(SPACE, StudyLocation(self.folder))
        return open_session(SPACE, VOCABULARY, StudyLocation(self.folder), PREPARED, stored)

    @initialize()
    def baseline(self) -> None:
        self.begin()
        self.finish("measured")

    @precondition(lambda self: self.running is None)
    @rule()
    def begin(self) -> None:
        variant = self.session.next_variant()
        if variant is not None:
            assert variant not in {record.variant for record in self.finished.values()}
            self.running = self.session.begin(variant, started=1.0), variant

    @precondition(lambda self: self.running is not None)
    @rule(how=HOW)
    def finish(self, how: str) -> None:
        number, variant = self.running
        self.finished[number] = self.session.finish(number, outcome(variant, how), 1.0, 2.0)
        self.running = None

    @precondition(lambda self: self.running is not None)
    @rule()
    def interrupt(self) -> None:
        self.session.interrupt(self.running[0])
        self.interrupted.add(self.running[0])
        self.running = None

    @rule()
    def die(self) -> None:
        """The trial that runs has no result."""
        self.session.close()
        if self.running is not None:
            self.interrupted.add(self.running[0])
            self.running = None
        self.session = self.opened()

    @precondition(lambda self: self.running is not None)
    @rule(how=HOW)
    def die_before_the_database_is_told(self, how: str) -> None:
        """The journal has the result: it counts."""
        number, variant = self.running
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(self.session._storage), "finish", self.dying)
            with pytest.raises(Died):
                self.session.finish(number, outcome(variant, how), 1.0, 2.0)
        self.session.close()
        self.running = None
        self.session = self.opened()
        self.finished[number] = self.session.result().trial(number)
        assert self.finished[number].variant == variant
        assert (self.finished[number].state == "failed") == (how == "failed")

    @staticmethod
    def dying(*_: object) -> None:
        raise Died

    @invariant()
    def every_trial_has_one_end_and_keeps_it(self) -> None:
        known = {record.number: record for record in self.session.result().trials}
        assert known == self.finished
        assert {record.number: record for record in load_result(self.folder).trials} == self.finished
        assert not self.interrupted & self.finished.keys()
        trials = optuna.load_study(study_name="small", storage=f"sqlite:///{self.folder / 'study.db'}").trials
        assert [trial.number for trial in trials] == list(range(len(trials)))
        running = [trial.number for trial in trials if not trial.state.is_finished()]
        assert running == ([] if self.running is None else [self.running[0]])
        assert len(trials) == len(self.finished) + len(self.interrupted) + len(running)

    def teardown(self) -> None:
        self.session.close()
        shutil.rmtree(self.root)


TestTrialsOfASession = TrialsOfASession.TestCase
TestTrialsOfASession.settings = settings(
    max_examples=6, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_session_journal_entry_without_an_objective_is_damage(tmp_path, monkeypatch):
    session = opened_anew(tmp_path)
    session.finish(session.begin(SPACE.baseline(), 1.0), outcome(SPACE.baseline(), "measured"), 1.0, 2.0)
    variant = session.next_variant()
    number = session.begin(variant, started=1.0)
    with monkeypatch.context() as patched:
        patched.setattr(type(session._storage), "finish", TrialsOfASession.dying)
        with pytest.raises(Died):
            session.finish(number, outcome(variant, "measured"), 1.0, 2.0)
    session.close()
    path = tmp_path / "small" / "trials" / f"{number}.json"
    entry = json.loads(path.read_text())
    del entry["outcome"]["metrics"]["accuracy"]
    path.write_text(json.dumps(entry))
    with pytest.raises(StudyDamaged, match=r"1\.json is not a whole record of a trial \(.*lacks an objective\): move"):
        opened_anew(tmp_path)


def test_session_whose_baseline_was_removed_begins_anew(tmp_path):
    session = opened_anew(tmp_path)
    for _ in range(3):
        variant = session.next_variant()
        session.finish(session.begin(variant, 1.0), outcome(variant, "measured"), 1.0, 2.0)
    session.close()
    with closing(sqlite3.connect(tmp_path / "small" / "study.db")) as database, database:
        database.execute("DELETE FROM trial_user_attributes WHERE trial_id = 1")
    session = opened_anew(tmp_path)
    assert session.n_finished == 0
    assert session.next_variant() == RELATIVE.baseline()
    session.close()


def opened_anew(folder: Path) -> Session:
    (folder / "small").mkdir(exist_ok=True)
    stored = stored_study(RELATIVE, StudyLocation(folder / "small"))
    return open_session(RELATIVE, VOCABULARY, StudyLocation(folder / "small"), PREPARED, stored)
