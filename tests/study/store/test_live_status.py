from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start

from explorer.errors import Interrupted, NotAvailable, StudyError, UsageError
from explorer.records import Failure, Progress, Variant
from explorer.study.read import load_result
from explorer.study.store import live_status as noting
from explorer.study.store.database import connect_to_copy
from explorer.study.store.live_status import LiveStatus, StudyPoller, read_live_status, recording_live_status
from explorer.study.store.location import LIVE_STATUS_NAME, study_folder
from explorer.study.store.lock import HOLDER_NAME, study_lock
from explorer.system.files import remove_drafts

BROKEN = Failure.reported("broken", "broken")


def drafts(folder):
    return list(folder.rglob(".*.tmp"))


def test_live_status_says_what_a_running_study_is_at(tmp_path):
    folder, seen = tmp_path / "small", []

    def look(event):
        sight = StudyPoller(folder).poll()
        said = None if sight.live_status is None else (sight.live_status.running, sight.live_status.progress)
        seen.append((event, len(sight.result.trials), said))

    evaluator = FakeEvaluator(folder)
    start(small_space(n_trials=2), folder, evaluator, RecordingView(look))
    first, second = enumerate(evaluator.evaluated)
    work = Progress("measuring", 0, 1)
    assert seen[:8] == [
        ("progress data", 0, (None, Progress("data", 1, 1))),
        ("start 0", 0, (first, None)),
        ("progress measuring", 0, (first, work)),
        ("end 0", 1, (None, None)),
        ("note", 1, (None, None)),
        ("start 1", 1, (second, None)),
        ("progress measuring", 1, (second, work)),
        ("end 1", 2, (None, None)),
    ]
    assert not (folder / LIVE_STATUS_NAME).exists()


def test_study_that_is_being_prepared_is_there_before_its_database(tmp_path):
    folder, seen = tmp_path / "small", []

    def look(event):
        if event == "progress data":
            seen.append(StudyPoller(study_folder("small", tmp_path)).poll())
            assert not (folder / "study.db").exists()

    space = small_space(n_trials=2)
    start(space, folder, view=RecordingView(look))
    (sight,) = seen
    assert (sight.result.space, sight.result.trials) == (space, ())
    assert sight.since is not None


@pytest.mark.parametrize(
    ("error", "failure"), [(Interrupted("now"), None), (None, Failure.reported("broken", "broken"))]
)
def test_live_status_is_gone_with_a_run_that_ended_early(tmp_path, error, failure):
    def stop(variant, number):
        if error is not None:
            raise error

    with pytest.raises((Interrupted, NotAvailable)):
        start(
            small_space(n_trials=2), tmp_path, FakeEvaluator(tmp_path, before=stop, failure=lambda variant, n: failure)
        )
    assert not (tmp_path / LIVE_STATUS_NAME).exists()
    assert drafts(tmp_path) == []


def test_live_status_of_another_hold_of_the_lock_is_nobodys(tmp_path):
    with recording_live_status(RecordingView(), small_space(), tmp_path, 100.5) as view:
        view.on_progress(Progress("train", 1, 2))
        assert read_live_status(tmp_path, 100.5) == LiveStatus(small_space(), None, Progress("train", 1, 2))
        assert read_live_status(tmp_path, 100.0) is None
    assert read_live_status(tmp_path, 100.5) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"since": 1.0}',
        '{"since": 1.0, "space": [], "running": null, "progress": null}',
        '{"since": 1.0, "space": {}, "running": [1], "progress": {"x": 1}}',
        "\x00\xff",
    ],
)
def test_live_status_that_does_not_read_says_nothing(tmp_path, text):
    (tmp_path / LIVE_STATUS_NAME).write_text(text)
    assert read_live_status(tmp_path, 1.0) is None


def test_live_status_keeps_every_kind_of_variant_and_progress(tmp_path):
    variant = Variant(width=(0.25, 1.0), runtime="onnxruntime")
    progress = Progress("recover \u2603", 1.5, None, "<b>\ud800")
    with recording_live_status(RecordingView(), small_space(width=((0.25, 1.0), 1.0)), tmp_path, 1.0) as view:
        view.on_trial_start(7, variant)
        view.on_progress(progress)
        found = read_live_status(tmp_path, 1.0)
    assert found == LiveStatus(
        small_space(width=((0.25, 1.0), 1.0)), (7, variant), replace(progress, note="<b>\\ud800")
    )


def test_progress_within_a_stage_is_written_now_and_then_and_told_always(tmp_path):
    time, told = [0.0], RecordingView()
    with recording_live_status(told, small_space(), tmp_path, 1.0, lambda: time[0]) as view:
        for done in range(100):
            view.on_progress(Progress("train", done, 100))
        assert read_live_status(tmp_path, 1.0).progress.done == 0
        time[0] += 1.0
        view.on_progress(Progress("train", 100, 100))
        assert read_live_status(tmp_path, 1.0).progress.done == 100
        view.on_progress(Progress("measure"))  # a stage after which nothing may come for long
        assert read_live_status(tmp_path, 1.0).progress.stage == "measure"
    assert len(told.events) == 102


def test_live_status_that_cannot_be_written_costs_the_study_nothing(tmp_path, monkeypatch):
    replace = os.replace

    def full(source, target):
        if os.fspath(target).endswith(LIVE_STATUS_NAME):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(noting.os, "replace", full)
    assert len(start(small_space(n_trials=2), tmp_path).trials) == 2
    assert not (tmp_path / LIVE_STATUS_NAME).exists()
    assert drafts(tmp_path) == []


def test_draft_of_a_killed_coordinator_is_cleared_away(tmp_path):
    (tmp_path / noting._DRAFT_NAME).write_text("{")
    remove_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_live_status_is_never_seen_half_written(tmp_path):
    space, seen, is_over = small_space(), [], threading.Event()

    def read():
        while not is_over.is_set():
            text = (tmp_path / LIVE_STATUS_NAME).read_text()
            seen.append(json.loads(text)["progress"]["note"])

    with recording_live_status(RecordingView(), space, tmp_path, 1.0) as view:
        view.on_progress(Progress("0", note=""))
        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(200):
            view.on_progress(Progress(str(turn), note="x" * (turn * 37 % 5000)))
        is_over.set()
        reader.join()
    assert all(set(note) <= {"x"} for note in seen)


def contents(folder):
    """Every file with its bytes and its time."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    start(small_space(n_trials=4), tmp_path / "small")
    return tmp_path / "small"


def test_poller_reads_what_load_result_reads(folder):
    assert StudyPoller(folder).poll().result == load_result(folder)


def test_poller_changes_nothing_in_the_folder(folder):
    before = contents(folder)
    watch = StudyPoller(folder)
    watch.poll()
    assert watch.poll().since is None
    assert contents(folder) == before


def test_poller_reads_only_what_is_new(folder, monkeypatch):
    firsts = []
    read_study = noting.read_study

    def recorded(place, name, is_only, first, timeout_s):
        firsts.append(first)
        return read_study(place, name, is_only, first, timeout_s)

    monkeypatch.setattr(noting, "read_study", recorded)
    watch = StudyPoller(folder)
    first = watch.poll().result
    assert watch.poll().result is first
    start(small_space(n_trials=6), folder)
    grown = watch.poll().result
    assert firsts == [0, 3]
    assert grown == load_result(folder)
    assert grown.trials[:4] == first.trials


def test_poller_follows_a_running_study(tmp_path):
    folder, seen = tmp_path / "small", []

    def look(event):
        if event.startswith("end"):
            watch = watches.setdefault("one", StudyPoller(folder))
            sight = watch.poll()
            seen.append((len(sight.result.trials), sight.since is not None))

    watches = {}
    start(small_space(n_trials=5), folder, view=RecordingView(look))
    assert seen == [(n, True) for n in range(1, 6)]
    assert watches["one"].poll().since is None


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
def test_poller_believes_the_holders_note_only_while_it_lives(folder, change, is_running):
    with study_lock(folder, lambda note: None):
        note = folder / HOLDER_NAME
        note.write_text(json.dumps(json.loads(note.read_text()) | change))
        assert (StudyPoller(folder).poll().since is not None) is is_running
    assert StudyPoller(folder).poll().since is None


def test_poller_sees_a_study_that_is_begun_anew(tmp_path):
    folder = tmp_path / "small"
    with pytest.raises(NotAvailable, match="baseline"):
        start(
            small_space(n_trials=3),
            folder,
            FakeEvaluator(folder, failure=lambda v, n: BROKEN),
        )
    watch = StudyPoller(folder)
    assert [trial.state for trial in watch.poll().result.trials] == ["failed"]
    start(small_space(n_trials=3), folder)
    assert [trial.state for trial in watch.poll().result.trials] == ["complete"] * 3


def test_poller_sees_another_study_that_came_in_its_place(folder):
    watch = StudyPoller(folder)
    watch.poll()
    shutil.rmtree(folder)
    start(small_space(n_trials=6, seed=1), folder)
    assert watch.poll().result == load_result(folder)


def test_poller_sees_a_killed_coordinator_by_its_lock_alone(folder):
    """Its note, and what it was at, stay behind."""
    with study_lock(folder, lambda note: None) as since:
        pass
    note = {"pid": 4_194_305, "host": socket.gethostname(), "boot": "", "since": since}
    (folder / HOLDER_NAME).write_text(json.dumps(note))
    (folder / LIVE_STATUS_NAME).write_text(json.dumps({"since": since}))
    sight = StudyPoller(folder).poll()
    assert (sight.since, sight.live_status) == (None, None)


def test_poller_without_a_study_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="explore start"):
        StudyPoller(tmp_path).poll()


def test_poller_reads_a_read_only_folder(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in (*copy.iterdir(), copy):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert replace(StudyPoller(copy).poll().result, folder=folder) == load_result(folder)
    finally:
        copy.chmod(0o755)


def test_looking_cannot_write(folder):
    with (
        closing(connect_to_copy(folder / "study.db")) as connection,
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
    with closing(connect_to_copy(path)) as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.db"]


def test_looking_sees_what_is_still_in_the_log(tmp_path):
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        with closing(connect_to_copy(path)) as connection:
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
    with closing(connect_to_copy(crashed / "study.db")) as connection:
        assert connection.execute("SELECT DISTINCT x FROM t").fetchall() == [("before" * 100,)]
    assert contents(crashed) == before


def test_damaged_database_is_said(folder):
    (folder / "study.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StudyError, match="damaged"):
        StudyPoller(folder).poll()


@pytest.mark.parametrize("name", ["study.db-wal", "study.db-journal"])
def test_poller_says_what_is_wrong_with_a_link_that_leads_in_a_circle(folder, name):
    (folder / name).symlink_to(folder / name)
    with pytest.raises(StudyError, match=rf"{name} is not a regular file"):
        StudyPoller(folder).poll()


def test_interrupted_study_is_whole_for_a_watch(tmp_path):
    folder = tmp_path / "small"

    def stop(variant, number):
        if number == 2:
            raise Interrupted("now")

    with pytest.raises(Interrupted):
        start(small_space(n_trials=5), folder, FakeEvaluator(folder, before=stop))
    assert [trial.number for trial in StudyPoller(folder).poll().result.trials] == [0, 1]
