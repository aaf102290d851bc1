"""How the tests share the machine: whole files side by side, studies made once, and what measures alone at the end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
INI = """\
[pytest]
addopts = --strict-markers --import-mode=importlib
markers =
    slow:
    measures:
"""
BESIDE = """\
import json, os, time
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def study(once):
    def make(folder):
        with Path("made").open("a") as file:
            file.write("once more\\n")
    return once("study", make)

def took(name, seconds):
    began = time.monotonic()
    time.sleep(seconds)
    with Path("took").open("a") as file:
        file.write(json.dumps([name, os.getpid(), began, time.monotonic()]) + "\\n")
"""


@pytest.fixture
def took(tmp_path):
    """Runs three files, one of which measures; returns the process, the beginning and the end of each test."""
    (tmp_path / "pytest.ini").write_text(INI)
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    measuring = "@pytest.mark.measures\ndef test_it():\n    took('alone', 0.1)\n"
    (tmp_path / "test_alone.py").write_text(f"{BESIDE}\n{measuring}")
    for name in ("one", "other"):
        tests = [f"def test_{n}(study):\n    took('{name} {n}', 0.5)\n" for n in range(3)]
        (tmp_path / f"test_{name}.py").write_text("\n".join([BESIDE, *tests]))

    def run(*options: str) -> dict[str, tuple[int, float, float]]:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *options,
            f"--basetemp={tmp_path / 'temp'}",
        ]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
        assert ended.returncode == 0, ended.stdout
        assert ended.stdout.splitlines()[-1].count("7 passed") == 1
        lines = [json.loads(line) for line in (tmp_path / "took").read_text().splitlines()]
        assert (tmp_path / "made").read_text() == "once more\n"
        return {name: (process, began, over) for name, process, began, over in lines}

    return run


def test_two_processes_take_whole_files_and_what_measures_has_the_machine_to_itself(took):
    found = took("--numprocesses", "2")
    _, began, _ = found.pop("alone")
    assert began >= max(over for _, _, over in found.values())
    processes = {kind: {found[f"{kind} {n}"][0] for n in range(3)} for kind in ("one", "other")}
    assert all(len(of_file) == 1 for of_file in processes.values())
    assert processes["one"] != processes["other"]


def test_one_process_runs_everything_and_what_measures_last(took):
    found = took()
    assert list(found)[-1] == "alone"
    assert len({process for process, _, _ in found.values()}) == 1
