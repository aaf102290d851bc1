"""Every command of the README runs, on small studies of known times, and its own-network example is what it says."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
N_TRIALS = {"search_spaces/digits.yaml": 3, "my_network.yaml": 2}

SHORTER = {
    "explore start search_spaces/digits.yaml": "explore start search_spaces/digits.yaml --no-confirm",  # comes next
    "explore confirm digits --rounds 5": "explore confirm digits",  # as few rounds as known_times.py has
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def run(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environment}
    return subprocess.run(shlex.split(command), cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def serve(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs what serves until Ctrl-C, follows its link as a browser does, and ends it so."""
    arguments, environment = shlex.split(command), {**os.environ, **environment}
    with subprocess.Popen(arguments, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline()
            link = re.search(r"http://\S+", said)
            assert link is not None, f"{command}: {said}"
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
            with opener.open(link.group(), timeout=60) as answer:
                assert "<h1" in answer.read().decode("utf-8")
        finally:
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=300)
    return subprocess.CompletedProcess(arguments, process.returncode, "", said + rest)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as a reader has it: the search spaces, the study that is kept, and the README's own files.

    The studies have fewer trials here: just so many that one is of ONNX Runtime, which --format onnx needs.
    """
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "search_spaces", folder / "search_spaces")
    shutil.copytree(ROOT / "studies" / "reference", folder / "studies" / "reference")
    for block in [*blocks("python"), *blocks("yaml")]:
        name = block.splitlines()[0].removeprefix("# ")
        (folder / name).write_text(block)
    for name, n in N_TRIALS.items():
        path = folder / name
        text, n_found = re.subn(r"\btrials: \d+", f"trials: {n}", path.read_text(encoding="utf-8"))
        assert n_found == 1, name
        path.write_text(text)
    return folder


@pytest.mark.slow
def test_readme_commands_run_in_their_order(place, known_times):
    path = os.pathsep.join([str(known_times.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    run_here = [line for line in commands() if line.startswith("explore ")]
    assert len(run_here) >= 10
    for command in run_here:
        if command.startswith("explore verify "):
            command += " --quick"  # a busy machine is slower than the bundle states, which is no fault of the README
        command = SHORTER.get(command, command)
        does = serve if command.startswith(("explore dashboard ", "explore serve ")) else run
        done = does(command, place, PATH=path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    for name, n in (("digits", 3), ("my-network", 2)):
        with (place / "studies" / name / "trials.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == n
    assert (place / "studies" / "my-network" / "front.csv").stat().st_size > 0
    assert (place / "mine.yaml").is_file()
    assert (place / "shipped" / "manifest.json").is_file()
    assert (place / "as-onnx" / "model.onnx").is_file()


def test_readme_python_api_reads_the_study_that_is_kept(place):
    done = run(f"{shlex.quote(sys.executable)} choose.py", place)
    assert done.returncode == 0, done.stderr
    assert "of the confirmed front where accuracy >= 0.99 * baseline and peak_memory_mib <= 256" in done.stdout
    assert (place / "front.html").stat().st_size > 0


def test_readme_make_start_runs_the_offline_study(tmp_path):
    """In an environment that was installed just now, whose `explore` tells what it is asked for."""
    (command,) = [line for line in commands() if line.startswith("make start SPACE")]
    explore = tmp_path / "bin" / "explore"
    explore.parent.mkdir()
    explore.write_text('#!/bin/sh\necho "asked: $*"\n')
    explore.chmod(0o755)
    (tmp_path / ".installed").touch()
    done = run(f"{command} VENV={tmp_path}", ROOT, MAKEFLAGS="")
    assert done.returncode == 0, done.stderr
    assert "asked: start search_spaces/digits.yaml" in done.stdout.splitlines()


@pytest.mark.parametrize("target", ["start", "test"])
def test_readme_make_targets_exist_and_begin_with_the_installation(target):
    assert any(line == f"make {target}" for line in commands())
    planned = run(f"make --dry-run --always-make {target}", ROOT, MAKEFLAGS="").stdout
    assert planned.index("pip install") < planned.index({"start": "explore start", "test": "pytest"}[target])


def test_readme_make_start_installs_nothing_for_tests_and_neither_installs_twice(tmp_path):
    first = {name: run(f"make --dry-run --always-make {name}", ROOT, MAKEFLAGS="").stdout for name in ("start", "test")}
    assert "[test]" not in first["start"]
    assert "--editable '.[test]'" in first["test"]
    for stamp in (".installed", ".installed-test"):
        (tmp_path / stamp).touch()
    for target in ("start", "test"):
        again = run(f"make --dry-run {target} VENV={tmp_path}", ROOT, MAKEFLAGS="").stdout
        assert "pip install" not in again


def test_readme_commands_are_all_covered_above():
    covered = ("explore ", "make ", "source .venv/bin/activate")
    assert [line for line in commands() if not line.startswith(covered)] == []


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_readme_names_every_room():
    rooms = {path.name for path in (ROOT / "explorer").iterdir() if (path / "__init__.py").is_file()}
    assert rooms == set(re.findall(r"`explorer/(\w+)/`", README))
