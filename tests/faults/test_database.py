"""A database that is damaged, held by other programs, or out of reach; and the way out that the sentence names."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import optuna
import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start
from odd_databases import beside, half_written, name_victim

from explorer.commands import start as command
from explorer.commands.options import StartOptions
from explorer.errors import NotAvailable, StudyDamaged, StudyError, UsageError
from explorer.study.read import load_result
from explorer.study.store import optuna_storage as storage
from explorer.study.store.database import connect
from explorer.study.store.live_status import StudyPoller
from explorer.study.store.location import storage_location

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
N_TRIALS = 5


def explore_start(studies: Path, fork: str | None = None) -> None:
    """`explore start`, with whatever evaluator the command has."""
    options = StartOptions(
        DIGITS,
        trials=N_TRIALS,
        sampler="random",
        studies=studies,
        fork=fork,
        no_dashboard=True,
        quiet=True,
        no_confirm=True,
    )
    command.start(options)


@pytest.fixture
def evaluated(monkeypatch):
    """The variants that the command has evaluated, by a fake evaluator; it writes no report."""
    variants = []

    def evaluator(space, folder, *_):
        return FakeEvaluator(folder, before=lambda variant, number: variants.append(variant))

    monkeypatch.setattr(command, "MeasuringEvaluator", evaluator)
    monkeypatch.setattr(command, "write_outputs", lambda result: None)
    return variants


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def without_its_header(path: Path) -> None:
    path.write_bytes(bytes(100) + path.read_bytes()[100:])


def with_a_page_overwritten(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + random.Random(0).randbytes(4096) + whole[8192:])


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [truncated, emptied, without_its_header, with_a_page_overwritten, removed])
def test_start_on_a_damaged_database_names_the_fork_and_the_fork_has_every_trial(tmp_path, evaluated, damage):
    explore_start(tmp_path)
    old = load_result(tmp_path / "digits")
    damage(tmp_path / "digits" / "study.db")
    files = {path: path.read_bytes() for path in (tmp_path / "digits").rglob("*") if path.is_file()}
    with pytest.raises(StudyDamaged, match=r"left as it is; `explore start SPACE\.yaml --fork NAME` starts a") as said:
        explore_start(tmp_path)
    assert said.value.exit_code == 6
    explore_start(tmp_path, fork="again")
    assert len(evaluated) == N_TRIALS
    forked = load_result(tmp_path / "again")
    assert [trial.outcome.metrics for trial in forked.trials] == [trial.outcome.metrics for trial in old.trials]
    assert [trial.state for trial in forked.trials] == [trial.state for trial in old.trials]
    assert {path: path.read_bytes() for path in files if path.exists()} == files


def test_study_whose_database_is_overwritten_while_it_runs_loses_no_trial_that_was_reported(tmp_path):
    folder, view = tmp_path / "small", RecordingView()

    def overwrite(variant, number):
        if number == 3:
            path = folder / "study.db"
            path.write_bytes(path.read_bytes()[:4096] + random.Random(1).randbytes(40_000))

    with suppress(StudyDamaged):  # SQLite notices when it reads a page that it does not remember
        start(small_space(n_trials=6), folder, FakeEvaluator(folder, before=overwrite), view)
    with pytest.raises(StudyDamaged, match="--fork NAME"):
        load_result(folder)
    forked = start(small_space("again", n_trials=6), tmp_path / "again", fork_from=folder)
    kept = {trial.variant: trial.outcome.metrics for trial in forked.trials}
    assert len(view.records) >= 3
    assert all(kept[record.variant] == record.outcome.metrics for record in view.records)


def reopened(folder: Path) -> None:
    storage.StudyStorage.open(folder / "study.db", "small").close()


OPENERS = {
    "read": load_result,
    "watched": lambda folder: StudyPoller(folder).poll(),
    "gone on with": lambda folder: start(small_space(n_trials=3), folder),
    "opened by its writer": reopened,
    "connected to": lambda folder: connect(folder / "study.db"),
}


@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
@pytest.mark.parametrize("open_study", OPENERS.values(), ids=OPENERS)
def test_study_of_a_stranger_with_a_link_beside_its_database_is_refused(tmp_path, open_study, suffix):
    folder, victim = tmp_path / "small", tmp_path / "thesis.txt"
    start(small_space(n_trials=2), folder)
    victim.write_bytes(b"years of work" * 10_000)
    beside(folder / "study.db", suffix).symlink_to(victim)
    with pytest.raises(StudyDamaged, match=rf"study\.db{suffix} is not a regular file.*--fork NAME"):
        open_study(folder)
    assert victim.read_bytes() == b"years of work" * 10_000


@pytest.mark.parametrize("open_study", OPENERS.values(), ids=OPENERS)
def test_study_of_a_stranger_whose_journal_names_a_file_is_refused_and_the_file_stays(tmp_path, open_study):
    """SQLite removes it: a thesis, or the database of another study."""
    folder, other = tmp_path / "small", tmp_path / "other"
    for one in (folder, other):
        start(small_space(n_trials=2), one)
    name_victim(folder / "study.db", other / "study.db")
    with pytest.raises(StudyDamaged, match=r"names another file \(a super-journal\).*--fork NAME") as said:
        open_study(folder)
    assert said.value.exit_code == 6
    assert len(load_result(other).trials) == 2


@pytest.mark.parametrize("open_study", list(OPENERS.values())[:-1], ids=list(OPENERS)[:-1])
@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n", "view 'v'"),
        ("CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM studies; END", "trigger 't'"),
    ],
)
def test_study_of_a_stranger_whose_database_runs_something_is_refused(tmp_path, open_study, statement, what):
    start(small_space(n_trials=2), tmp_path)
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute(statement)
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(StudyDamaged, match=f"it holds the {what}, which no study has.*--fork NAME"):
        open_study(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == before


def test_study_whose_database_was_removed_begins_anew_without_the_journal_that_it_left(tmp_path):
    start(small_space(n_trials=1), tmp_path)
    half_written(tmp_path / "crashed", "UPDATE t SET x = 'after'")
    shutil.rmtree(tmp_path / "trials")
    (tmp_path / "study.db").unlink()
    shutil.copy(tmp_path / "crashed" / "study.db-journal", tmp_path)
    assert len(start(small_space(n_trials=2), tmp_path).trials) == 2
    assert len(load_result(tmp_path).trials) == 2


def test_study_goes_on_beside_a_program_that_reads_notes_and_locks_as_a_dashboard_does(tmp_path):
    """optuna-dashboard reads whole studies by Optuna's storage, and writes notes into a study's attributes."""
    space, releases = small_space(n_trials=5), []
    start(space, tmp_path / "undisturbed")

    def meddle(event):
        if not event.startswith("start"):
            return
        url = f"sqlite:///{tmp_path / 'small' / 'study.db'}"
        outside = optuna.storages.RDBStorage(url)
        study = optuna.load_study(study_name="small", storage=outside)
        assert len(study.get_trials()) == int(event.split()[1]) + 1
        study.set_user_attr("note", event)
        outside.engine.dispose()
        holder = sqlite3.connect(tmp_path / "small" / "study.db", check_same_thread=False)
        holder.execute("BEGIN EXCLUSIVE")
        releases.append(threading.Timer(0.2, holder.close))
        releases[-1].start()

    result = start(space, tmp_path / "small", view=RecordingView(meddle))
    for release in releases:
        release.join()
    expected = load_result(tmp_path / "undisturbed").trials
    assert [trial.variant for trial in result.trials] == [trial.variant for trial in expected]
    assert load_result(tmp_path / "small").trials == result.trials
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path}/small/study.db")
    assert study.user_attrs["note"] == "start 4"


def test_study_whose_database_stays_locked_ends_with_a_sentence_and_pays_for_no_trial_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "connect", partial(connect, timeout_s=0.05))
    folder = tmp_path / "small"
    first, second = FakeEvaluator(folder), FakeEvaluator(folder)
    holders: list[sqlite3.Connection] = []

    def hold(event):
        if event == "start 2":
            holders.append(sqlite3.connect(folder / "study.db"))
            holders[0].execute("BEGIN EXCLUSIVE")

    with pytest.raises(StudyError, match=r"another program has locked .*study\.db.*close it and start again") as said:
        start(small_space(n_trials=5), folder, first, RecordingView(hold))
    assert said.value.exit_code == 6
    holders[0].close()
    result = start(small_space(n_trials=5), folder, second)
    assert len(result.trials) == 5
    assert len({*first.evaluated, *second.evaluated}) == len(first.evaluated) + len(second.evaluated) == 5


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hush@host/db", r"postgresql://me:\*\*\*@host/db needs a driver.*psycopg"),
        ("nosuchdatabase://me:hush@host/db", r"nosuchdatabase://me:\*\*\*@host/db needs a driver"),
    ],
)
def test_start_with_a_database_that_has_no_driver_here_says_which_and_hides_the_password(tmp_path, url, said):
    with pytest.raises(NotAvailable, match=said) as error:
        start(small_space(), tmp_path / "small", storage_url=url)
    assert error.value.exit_code == 5
    assert "hush" not in str(error.value)
    assert not [path for path in (tmp_path / "small").rglob("*") if b"hush" in path.read_bytes()]


def test_place_that_is_no_url_is_refused_without_repeating_a_password(tmp_path):
    with pytest.raises(UsageError, match="--storage is no URL of a database: expected ") as error:
        storage_location(tmp_path, "postgresql//me:hush@host/db")
    assert "hush" not in str(error.value)


def test_copy_of_a_study_made_between_two_of_its_writes_has_every_finished_trial(tmp_path):
    """What a backup program makes, which knows nothing of the study."""
    folder, copies = tmp_path / "small", []

    def copy(event):
        if event.startswith("progress measuring"):
            copies.append(tmp_path / f"copy-{len(copies)}")
            shutil.copytree(folder, copies[-1])

    result = start(small_space(n_trials=4), folder, view=RecordingView(copy))
    for n_finished, one in enumerate(copies):
        assert load_result(one).trials == result.trials[:n_finished]
