"""Every command of the README runs, and its own-network example is what it says."""

from __future__ import annotations

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


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def run(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **environment}
    return subprocess.run(shlex.split(command), cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def serve(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs what serves until Ctrl-C, follows its link as a browser does, and ends it so."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    arguments = shlex.split(command)
    with subprocess.Popen(
        arguments, cwd=cwd, env={**os.environ, "PATH": path}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = process.stderr.readline()
            link = re.search(r"http://\S+", said)
            assert link is not None, f"{command}: {said}"
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
            with opener.open(link.group(), timeout=60) as answer:
                assert "<h1" in answer.read().decode("utf-8")
        finally:
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, "", said + rest)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder as a reader has it: the search spaces, the study that is kept, and the README's own files."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "search_spaces").symlink_to(ROOT / "search_spaces")
    shutil.copytree(ROOT / "studies" / "reference", folder / "studies" / "reference")
    for block in [*blocks("python"), *blocks("yaml")]:
        name = block.splitlines()[0].removeprefix("# ")
        (folder / name).write_text(block)
    return folder


@pytest.mark.slow
def test_readme_commands_run_in_their_order(place, digits_study):
    # What `explore start search_spaces/digits.yaml` makes from nothing; here it goes on from there.
    shutil.copytree(digits_study[0], place / "studies" / "digits")
    run_here = [line for line in commands() if line.startswith("explore ")]
    assert len(run_here) >= 10
    for command in run_here:
        if command.startswith("explore verify "):
            command += " --quick"  # a busy machine is slower than the bundle states, which is no fault of the README
        done = (serve if command.startswith(("explore dashboard ", "explore serve ")) else run)(command, place)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (place / "studies" / "my-network" / "front.csv").stat().st_size > 0
    assert (place / "mine.yaml").is_file()
    assert (place / "shipped" / "manifest.json").is_file()
    assert (place / "as-onnx" / "model.onnx").is_file()


@pytest.mark.slow
def test_readme_make_start_runs_the_offline_study(tmp_path):
    (command,) = [line for line in commands() if line.startswith("make start SPACE")]
    target, space = command.rsplit("=", 1)
    command = f'{target}="{space} --trials 3 --no-confirm"'  # the whole study is that of `explore start`, above
    done = run(command, ROOT, EXPLORER_STUDIES=str(tmp_path), MAKEFLAGS="")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "digits" / "report.html").is_file()


@pytest.mark.parametrize("target", ["start", "test"])
def test_readme_make_targets_exist_and_begin_with_the_installation(target):
    assert any(line == f"make {target}" for line in commands())
    planned = run(f"make --dry-run --always-make {target}", ROOT, MAKEFLAGS="").stdout
    assert planned.index("pip install") < planned.index({"start": "explore start", "test": "pytest"}[target])


def test_readme_commands_are_all_covered_above():
    covered = ("explore ", "make ", "source .venv/bin/activate")
    assert [line for line in commands() if not line.startswith(covered)] == []


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_readme_names_every_room():
    rooms = {path.name for path in (ROOT / "explorer").iterdir() if (path / "__init__.py").is_file()}
    assert rooms == set(re.findall(r"`explorer/(\w+)/`", README))
