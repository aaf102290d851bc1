from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from explorer.errors import StudyLocked
from explorer.study.store.lock import HOLDER_NAME, held_since, study_lock

HOLD = """
import sys
from pathlib import Path
from explorer.study.store.lock import study_lock
with study_lock(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_study_lock_held_elsewhere_names_the_holder(tmp_path):
    with holder(tmp_path) as process:
        with pytest.raises(StudyLocked, match=rf"held by process {process.pid} on .*, which began 0 min ago"):
            study_lock(tmp_path, print).__enter__()
        process.communicate()
    with study_lock(tmp_path, pytest.fail):
        assert json.loads((tmp_path / HOLDER_NAME).read_text())["pid"] == os.getpid()
    assert not (tmp_path / HOLDER_NAME).exists()


def test_held_since_is_what_the_lock_gave_and_none_afterwards(tmp_path):
    assert held_since(tmp_path) is None
    with study_lock(tmp_path, pytest.fail) as since:
        assert held_since(tmp_path) == since
    assert held_since(tmp_path) is None


def test_held_since_killed_holder_that_its_parent_has_not_noticed_holds_nothing(tmp_path):
    with holder(tmp_path) as process:
        assert held_since(tmp_path) is not None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        assert held_since(tmp_path) is None
        process.communicate()


@pytest.mark.parametrize(
    "spoilt", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "host": "h", "boot": "b", "since": 1}', "\x00\xff"]
)
def test_held_since_spoilt_note_says_nothing(tmp_path, spoilt):
    (tmp_path / HOLDER_NAME).write_text(spoilt)
    assert held_since(tmp_path) is None


def test_study_lock_killed_holder_is_replaced_with_a_note(tmp_path):
    with holder(tmp_path) as process:
        process.kill()
        process.communicate()
    notes: list[str] = []
    with study_lock(tmp_path, notes.append):
        assert len(notes) == 1
    assert f"process {process.pid}" in notes[0]
    assert "ended without saying so" in notes[0]


def test_study_lock_holder_of_an_earlier_boot_is_recognized(tmp_path):
    with study_lock(tmp_path, pytest.fail):
        facts = json.loads((tmp_path / HOLDER_NAME).read_text())
    # The same process id lives now, as after a restart that gave it to somebody else.
    (tmp_path / HOLDER_NAME).write_text(json.dumps({**facts, "boot": "an earlier one", "since": 0}))
    notes: list[str] = []
    with study_lock(tmp_path, notes.append):
        assert "ended when the machine was restarted" in notes[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_study_lock_spoilt_note_is_replaced(tmp_path, text):
    (tmp_path / HOLDER_NAME).write_text(text)
    with study_lock(tmp_path, pytest.fail):
        assert json.loads((tmp_path / HOLDER_NAME).read_text())["pid"] == os.getpid()


def test_study_lock_is_released_when_the_block_fails(tmp_path):
    with pytest.raises(RuntimeError, match="inside"), study_lock(tmp_path, pytest.fail):
        raise RuntimeError("inside")
    with study_lock(tmp_path, pytest.fail):
        pass


def test_study_lock_note_that_is_a_pipe_is_replaced(tmp_path):
    os.mkfifo(tmp_path / HOLDER_NAME)
    assert held_since(tmp_path) is None
    with study_lock(tmp_path, pytest.fail):
        assert json.loads((tmp_path / HOLDER_NAME).read_text())["pid"] == os.getpid()
