from __future__ import annotations

import errno
import json
import os
import threading

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start

from explorer.errors import Interrupted, NotAvailable
from explorer.files import remove_drafts
from explorer.records import Failure, Progress, Variant
from explorer.study import now as noting
from explorer.study.locate import NOW_NAME, study_folder
from explorer.study.now import Now, noted, read_now
from explorer.study.watch import StudyWatch


def drafts(folder):
    return list(folder.rglob(".*.tmp"))


def test_now_says_what_a_running_study_is_at(tmp_path):
    folder, seen = tmp_path / "small", []

    def look(event):
        sight = StudyWatch(folder).look()
        said = None if sight.now is None else (sight.now.running, sight.now.progress)
        seen.append((event, len(sight.result.trials), said))

    evaluator = FakeEvaluator(folder)
    start(small_space(n_trials=2), folder, evaluator, RecordingView(look))
    first, second = enumerate(evaluator.evaluated)
    work = Progress("measuring", 0, 1)
    assert seen[:7] == [
        ("progress data", 0, (None, Progress("data", 1, 1))),
        ("start 0", 0, (first, None)),
        ("progress measuring", 0, (first, work)),
        ("end 0", 1, (None, None)),
        ("start 1", 1, (second, None)),
        ("progress measuring", 1, (second, work)),
        ("end 1", 2, (None, None)),
    ]
    assert not (folder / NOW_NAME).exists()


def test_study_that_is_being_prepared_is_there_before_its_database(tmp_path):
    folder, seen = tmp_path / "small", []

    def look(event):
        if event == "progress data":
            seen.append(StudyWatch(study_folder("small", tmp_path)).look())
            assert not (folder / "study.db").exists()

    space = small_space(n_trials=2)
    start(space, folder, view=RecordingView(look))
    (sight,) = seen
    assert (sight.result.space, sight.result.trials) == (space, ())
    assert sight.since is not None


@pytest.mark.parametrize(("error", "failure"), [(Interrupted("now"), None), (None, Failure("broken", "broken"))])
def test_now_is_gone_with_a_run_that_ended_early(tmp_path, error, failure):
    def stop(variant, number):
        if error is not None:
            raise error

    with pytest.raises((Interrupted, NotAvailable)):
        start(
            small_space(n_trials=2), tmp_path, FakeEvaluator(tmp_path, before=stop, failure=lambda variant, n: failure)
        )
    assert not (tmp_path / NOW_NAME).exists()
    assert drafts(tmp_path) == []


def test_now_of_another_hold_of_the_lock_is_nobodys(tmp_path):
    with noted(RecordingView(), small_space(), tmp_path, 100.5) as view:
        view.on_progress(Progress("train", 1, 2))
        assert read_now(tmp_path, 100.5) == Now(small_space(), None, Progress("train", 1, 2))
        assert read_now(tmp_path, 100.0) is None
    assert read_now(tmp_path, 100.5) is None


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
def test_now_that_does_not_read_says_nothing(tmp_path, text):
    (tmp_path / NOW_NAME).write_text(text)
    assert read_now(tmp_path, 1.0) is None


def test_now_keeps_every_kind_of_variant_and_progress(tmp_path):
    variant = Variant(width=(0.25, 1.0), runtime="onnxruntime")
    progress = Progress("recover \u2603", 1.5, None, "<b>\ud800")
    with noted(RecordingView(), small_space(width=((0.25, 1.0), 1.0)), tmp_path, 1.0) as view:
        view.on_trial_start(7, variant)
        view.on_progress(progress)
        found = read_now(tmp_path, 1.0)
    assert found == Now(small_space(width=((0.25, 1.0), 1.0)), (7, variant), progress)


def test_progress_within_a_stage_is_written_now_and_then_and_told_always(tmp_path):
    time, told = [0.0], RecordingView()
    with noted(told, small_space(), tmp_path, 1.0, lambda: time[0]) as view:
        for done in range(100):
            view.on_progress(Progress("train", done, 100))
        assert read_now(tmp_path, 1.0).progress.done == 0
        time[0] += 1.0
        view.on_progress(Progress("train", 100, 100))
        assert read_now(tmp_path, 1.0).progress.done == 100
        view.on_progress(Progress("measure"))  # a stage after which nothing may come for long
        assert read_now(tmp_path, 1.0).progress.stage == "measure"
    assert len(told.events) == 102


def test_now_that_cannot_be_written_costs_the_study_nothing(tmp_path, monkeypatch):
    replace = os.replace

    def full(source, target):
        if os.fspath(target).endswith(NOW_NAME):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(noting.os, "replace", full)
    assert len(start(small_space(n_trials=2), tmp_path).trials) == 2
    assert not (tmp_path / NOW_NAME).exists()
    assert drafts(tmp_path) == []


def test_draft_of_a_killed_coordinator_is_cleared_away(tmp_path):
    (tmp_path / noting._DRAFT_NAME).write_text("{")
    remove_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_now_is_never_seen_half_written(tmp_path):
    space, seen, is_over = small_space(), [], threading.Event()

    def read():
        while not is_over.is_set():
            text = (tmp_path / NOW_NAME).read_text()
            seen.append(json.loads(text)["progress"]["note"])

    with noted(RecordingView(), space, tmp_path, 1.0) as view:
        view.on_progress(Progress("0", note=""))
        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(200):
            view.on_progress(Progress(str(turn), note="x" * (turn * 37 % 5000)))
        is_over.set()
        reader.join()
    assert all(set(note) <= {"x"} for note in seen)
