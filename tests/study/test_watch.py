from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start

from explorer.errors import Interrupted, NotAvailable, StudyError, UsageError
from explorer.records import Failure
from explorer.study import watch as watching
from explorer.study.database import connect_to_look
from explorer.study.locate import NOW_NAME
from explorer.study.lock import HOLDER_NAME, study_lock
from explorer.study.read import load_result
from explorer.study.watch import StudyWatch


def contents(folder):
    """Every file with its bytes and its time."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    start(small_space(n_trials=4), tmp_path / "small")
    return tmp_path / "small"


def test_watch_reads_what_load_result_reads(folder):
    assert StudyWatch(folder).look().result == load_result(folder)


def test_watch_changes_nothing_in_the_folder(folder):
    before = contents(folder)
    watch = StudyWatch(folder)
    watch.look()
    assert watch.look().since is None
    assert contents(folder) == before


def test_watch_reads_only_what_is_new(folder, monkeypatch):
    firsts = []
    read_study = watching.read_study

    def recorded(place, name, is_only, first, connector):
        firsts.append(first)
        return read_study(place, name, is_only, first, connector)

    monkeypatch.setattr(watching, "read_study", recorded)
    watch = StudyWatch(folder)
    first = watch.look().result
    assert watch.look().result is first
    start(small_space(n_trials=6), folder)
    grown = watch.look().result
    assert firsts == [0, 3]
    assert grown == load_result(folder)
    assert grown.trials[:4] == first.trials


def test_watch_follows_a_running_study(tmp_path):
    folder, seen = tmp_path / "small", []

    def look(event):
        if event.startswith("end"):
            watch = watches.setdefault("one", StudyWatch(folder))
            sight = watch.look()
            seen.append((len(sight.result.trials), sight.since is not None))

    watches = {}
    start(small_space(n_trials=5), folder, view=RecordingView(look))
    assert seen == [(n, True) for n in range(1, 6)]
    assert watches["one"].look().since is None


@pytest.mark.parametrize(
    ("change", "is_running"),
    [
        ({}, True),
        ({"pid": 4_194_305}, False),  # beyond the largest of Linux
        ({"boot": "another"}, False),
        ({"process_started": 0.0}, False),
        ({"host": "another machine", "pid": 4_194_305}, True),  # nothing better is known
    ],
)
def test_watch_believes_the_holders_note_only_while_it_lives(folder, change, is_running):
    with study_lock(folder, lambda note: None):
        note = folder / HOLDER_NAME
        note.write_text(json.dumps(json.loads(note.read_text()) | change))
        assert (StudyWatch(folder).look().since is not None) is is_running
    assert StudyWatch(folder).look().since is None


def test_watch_sees_a_study_that_is_begun_anew(tmp_path):
    folder = tmp_path / "small"
    with pytest.raises(NotAvailable, match="baseline"):
        start(small_space(n_trials=3), folder, FakeEvaluator(folder, failure=lambda v, n: Failure("broken", "broken")))
    watch = StudyWatch(folder)
    assert [trial.state for trial in watch.look().result.trials] == ["failed"]
    start(small_space(n_trials=3), folder)
    assert [trial.state for trial in watch.look().result.trials] == ["complete"] * 3


def test_watch_sees_another_study_that_came_in_its_place(folder):
    watch = StudyWatch(folder)
    watch.look()
    shutil.rmtree(folder)
    start(small_space(n_trials=6, seed=1), folder)
    assert watch.look().result == load_result(folder)


def test_watch_sees_a_killed_coordinator_by_its_lock_alone(folder):
    """Its note, and what it was at, stay behind."""
    with study_lock(folder, lambda note: None) as since:
        pass
    note = {"pid": 4_194_305, "host": socket.gethostname(), "boot": "", "since": since}
    (folder / HOLDER_NAME).write_text(json.dumps(note))
    (folder / NOW_NAME).write_text(json.dumps({"since": since}))
    sight = StudyWatch(folder).look()
    assert (sight.since, sight.now) == (None, None)


def test_watch_without_a_study_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="explore start"):
        StudyWatch(tmp_path).look()


def test_watch_reads_a_read_only_folder(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in (*copy.iterdir(), copy):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert replace(StudyWatch(copy).look().result, folder=folder) == load_result(folder)
    finally:
        copy.chmod(0o755)


def test_looking_cannot_write(folder):
    with (
        closing(connect_to_look(folder / "study.db")) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM trials")


def test_looking_leaves_no_log_beside_a_database_that_had_one(tmp_path):
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
    with closing(connect_to_look(path)) as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.db"]


def test_looking_sees_what_is_still_in_the_log(tmp_path):
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        with closing(connect_to_look(path)) as connection:
            assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_looking_at_what_a_crash_left_half_written_leaves_it_so(tmp_path):
    crashed = tmp_path / "crashed"
    with closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size=2")  # so that the transaction comes to the disk before it ends
        writer.execute("CREATE TABLE t (x)")
        writer.executemany("INSERT INTO t VALUES (?)", [("before" * 100,)] * 300)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE t SET x = 'after'")
        crashed.mkdir()
        for path in tmp_path.glob("study.db*"):
            shutil.copy(path, crashed)
    before = contents(crashed)
    assert set(before) == {"study.db", "study.db-journal"}
    with closing(connect_to_look(crashed / "study.db")) as connection:
        assert connection.execute("SELECT DISTINCT x FROM t").fetchall() == [("before" * 100,)]
    assert contents(crashed) == before


def test_damaged_database_is_said(folder):
    (folder / "study.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StudyError, match="damaged"):
        StudyWatch(folder).look()


def test_interrupted_study_is_whole_for_a_watch(tmp_path):
    folder = tmp_path / "small"

    def stop(variant, number):
        if number == 2:
            raise Interrupted("now")

    with pytest.raises(Interrupted):
        start(small_space(n_trials=5), folder, FakeEvaluator(folder, before=stop))
    assert [trial.number for trial in StudyWatch(folder).look().result.trials] == [0, 1]
