"""Two coordinators on one study, and what a dead one leaves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from fakes import RecordingView, small_space, start

from explorer.errors import StudyLocked
from explorer.study.read import load_result
from explorer.study.store import lock
from explorer.study.store.lock import HOLDER_NAME, LOCK_NAME, held_since, study_lock

COORDINATOR = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fakes import FakeEvaluator, small_space, start
from explorer.errors import ExplorerError

folder = Path(sys.argv[2])

def wait(variant, number):
    while not (folder / "go-on").exists():
        time.sleep(0.02)

print("ready", flush=True)
sys.stdin.readline()
try:
    start(small_space(n_trials=4), folder, FakeEvaluator(folder, before=wait))
except ExplorerError as error:
    print(error)
    sys.exit(error.exit_code)
"""
N_AT_ONCE = 3


def coordinators(folder: Path, n: int) -> list[subprocess.Popen[str]]:
    """Processes that all start the same study at the same moment; whichever runs it waits for a file `go-on`."""
    command = [sys.executable, "-c", COORDINATOR, str(Path(__file__).parents[1]), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(n)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return processes


@pytest.fixture
def racing(tmp_path):
    processes = coordinators(tmp_path / "small", N_AT_ONCE)
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_coordinators_that_start_at_once_one_runs_the_study_and_the_others_say_who(tmp_path, racing, eventually):
    def losers() -> list[subprocess.Popen[str]]:
        return [process for process in racing if process.poll() is not None]

    eventually(lambda: len(losers()) == N_AT_ONCE - 1)
    lost = losers()
    (winner,) = set(racing) - set(lost)
    assert winner.poll() is None
    for process in lost:
        assert process.returncode == 6
        said = process.stdout.read()
        assert "is held by process" in said or "is held by another process" in said  # it had not yet said who it is
    (tmp_path / "small" / "go-on").touch()
    assert winner.wait(60) == 0
    assert [trial.number for trial in load_result(tmp_path / "small").trials] == [0, 1, 2, 3]


def test_study_whose_lock_file_was_deleted_is_still_held(tmp_path, eventually):
    folder = tmp_path / "small"
    folder.mkdir()
    (running,) = coordinators(folder, 1)
    try:
        eventually(lambda: (folder / HOLDER_NAME).exists())
        (folder / LOCK_NAME).unlink()
        with pytest.raises(StudyLocked, match=rf"held by process {running.pid} on .*, which began 0 min ago"):
            start(small_space(n_trials=4), folder)
        (folder / "go-on").touch()
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.communicate()
    assert len(load_result(folder).trials) == 4


def note_of(pid: int, **facts: object) -> str:
    """What a coordinator with that process id wrote about itself, on this machine and since its start."""
    whole = {"pid": pid, "host": socket.gethostname(), "boot": lock._boot_id(), "since": 1.0}
    return json.dumps(whole | {"process_started": lock._started(psutil.Process(pid))} | facts)


def test_start_takes_over_from_a_process_whose_id_another_one_has_now(tmp_path):
    pid = os.getppid()
    (tmp_path / HOLDER_NAME).write_text(note_of(pid))
    with pytest.raises(StudyLocked, match=f"held by process {pid}"):
        start(small_space(n_trials=2), tmp_path)
    (tmp_path / HOLDER_NAME).write_text(note_of(pid, process_started=0.01))
    view = RecordingView()
    assert len(start(small_space(n_trials=2), tmp_path, view=view).trials) == 2
    assert f"took the study over from process {pid} on" in view.notes[0]
    assert not (tmp_path / HOLDER_NAME).exists()


@pytest.mark.parametrize(
    "facts",
    [{"pid": -1}, {"pid": 10**30}, {"process_started": "soon"}, {"since": "then"}, {"host": None, "boot": []}],
)
def test_start_holds_nothing_against_a_note_that_no_coordinator_wrote(tmp_path, facts):
    (tmp_path / HOLDER_NAME).write_text(json.dumps(json.loads(note_of(os.getppid())) | facts))
    with study_lock(tmp_path, lambda sentence: None) as since:
        assert held_since(tmp_path) == since
