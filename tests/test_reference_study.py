"""The study that the repository keeps: small, whole for every command that reads, and nobody's private matter."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.cookiejar import CookieJar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.study.read import load_result
from explorer.study.store.samples import trial_samples
from explorer.system.hashing import file_sha256

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "studies" / "reference"
EXPLORE = str(Path(sys.executable).with_name("explore"))
BENCHMARKS = {
    name: SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py")))
    for name in ("large_study", "reference_study")
}
MADE_UP = "the weights, which are not for the repository"


@pytest.fixture
def kept(tmp_path):
    """A copy of the repository's study, in which nobody may write, as a checkout by another user."""
    assert REFERENCE.is_dir(), "make it with benchmarks/reference_study.py"
    folder = tmp_path / "reference"
    shutil.copytree(REFERENCE, folder)
    _chmod(folder, 0o500, 0o400)
    yield folder
    _chmod(folder, 0o700, 0o600)


@pytest.fixture
def finished(tmp_path):
    """A made-up study with artifacts, as `explore start` leaves it."""
    folder = tmp_path / "made-up"
    result = BENCHMARKS["large_study"].write_large_study(folder, 20)
    (folder / "trials").mkdir()
    (folder / "report.html").write_text("5 MB")
    rng = np.random.default_rng(0)
    for trial in result.trials:
        (folder / "trials" / f"{trial.number}.json").write_text("{}")
        if trial.outcome.artifact is None:
            continue
        measurements = folder / "artifacts" / trial.outcome.artifact / "measurements"
        measurements.mkdir(parents=True)
        (measurements.parent / "segment_0.onnx").write_text(MADE_UP)
        metrics = {name: measurement.to_json() for name, measurement in trial.outcome.metrics.items()}
        description = {"variant": trial.variant.to_json(), "metrics": metrics, "details": {}}
        (measurements / f"trial-{trial.number:05d}.json").write_text(json.dumps(description))
        np.savez(
            measurements / f"trial-{trial.number:05d}.npz",
            latency_ns=rng.integers(10**5, 10**6, 900),
            latency_counts=rng.integers(0, 2, 900),
            predictions=rng.integers(0, 10, 5000),
            logits=rng.normal(size=(5000, 10)),
        )
    return folder


def make(source: Path, target: Path) -> None:
    BENCHMARKS["reference_study"].make(source, target)


def test_make_keeps_what_readers_read_and_nothing_that_runs(finished, tmp_path, capsys):
    target = tmp_path / "kept"
    make(finished, target)
    before, after = load_result(finished), load_result(target)
    assert replace(after, folder=finished) == before
    for trial in before.trials:
        old, new = trial_samples(before, trial), trial_samples(after, trial)
        assert type(old) is type(new)
        if isinstance(old, str):
            assert trial.outcome.artifact is None
        else:
            assert np.array_equal(old.latency_ns, new.latency_ns)
            assert all(np.array_equal(old.scores[name], new.scores[name]) for name in old.scores)
    files = {path.name for path in target.rglob("*") if path.is_file()}
    assert {name for name in files if not re.fullmatch(r"(trial-)?\d+\.(json|npz)", name)} == {"study.db", "space.yaml"}
    assert "KiB" in capsys.readouterr().out


def test_make_twice_gives_equal_files_and_replaces_the_older_study(finished, tmp_path):
    target = tmp_path / "kept"
    make(finished, target)
    before = hashes(target)
    (target / "left.txt").write_text("of an older study")
    make(finished, target)
    assert hashes(target) == before


def test_make_replaces_nothing_that_is_no_study(finished, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(SystemExit, match="in the way"):
        make(finished, tmp_path / "mine")


@pytest.mark.parametrize("text", [str(Path.home() / "data"), "/home/somebody/secret.py", "/tmp/x"])
def test_make_refuses_what_names_this_machine(finished, tmp_path, text):
    (finished / "trials" / "3.json").write_text(json.dumps({"failure": f"no such file: {text}"}))
    with pytest.raises(SystemExit, match=re.escape(f"3.json: {text}")):
        make(finished, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_make_refuses_what_is_too_large(finished, tmp_path):
    (finished / "trials" / "3.json").write_text(json.dumps("x" * 3 * 2**20))
    with pytest.raises(SystemExit, match="too much to keep"):
        make(finished, tmp_path / "kept")


def test_make_refuses_a_folder_without_a_study(tmp_path):
    with pytest.raises(SystemExit, match="no folder of a study"):
        make(tmp_path, tmp_path / "kept")


def test_reference_study_is_small_whole_and_names_no_machine(kept):
    assert sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()) <= 2 * 2**20
    assert BENCHMARKS["reference_study"].private_traces(kept) == []
    result = load_result(kept)
    assert len(result.trials) == result.space.search.n_trials
    for trial in result.trials:
        assert trial.outcome.artifact is None or not isinstance(trial_samples(result, trial), str)


@pytest.mark.slow
def test_reference_study_is_read_by_every_command_and_left_as_it_was(kept, tmp_path):
    before, report = hashes(kept), tmp_path / "report.html"
    n_trials = len(load_result(kept).trials)
    front = json.loads(explore("front", str(kept), "--json"))["front"]
    limit = f"latency_ms <= {front[0]['metrics']['latency_ms']['value']}"
    assert len(explore("front", str(kept), "--csv").splitlines()) == len(front) + 1
    assert f" {front[0]['trial']} " in explore("front", str(kept), "--where", limit)
    assert json.loads(explore("show", str(kept), "0", "--json"))["trial"] == 0
    assert "Trial 0" in explore("show", str(kept), "0")
    explore("report", str(kept), "-o", str(report))
    assert snapshot_of(report)["trials"]["number"] == list(range(n_trials))
    with dashboard(kept) as ask:
        assert ask("/api/state")["trials"]["number"] == list(range(n_trials))
        detail = ask(f"/api/trials/{front[0]['trial']}")
        assert detail["latency"]["n"] > 0
        assert detail["why"] == {}
    assert hashes(kept) == before


@pytest.mark.slow
def test_reference_study_is_not_changed_by_another_search_space(kept):
    _chmod(kept, 0o700, 0o600)
    before = hashes(kept)
    space = ROOT / "search_spaces" / "digits.yaml"
    command = [EXPLORE, "start", str(space), "--name", kept.name, "--studies", str(kept.parent), "--no-dashboard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 6
    assert "the search space changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert {name: found for name, found in hashes(kept).items() if name in before} == before


def explore(*arguments: str) -> str:
    done = subprocess.run([EXPLORE, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def snapshot_of(report: Path) -> dict[str, dict[str, list[int]]]:
    """The data of a report's page."""
    boot = re.search(r'<script type="application/json" id="boot">(.*?)</script>', report.read_text("utf-8"), re.DOTALL)
    assert boot is not None
    snapshot: dict[str, dict[str, list[int]]] = json.loads(boot.group(1))["snapshot"]
    return snapshot


@contextmanager
def dashboard(folder: Path) -> Iterator[Callable[[str], Any]]:
    """`explore dashboard` while a block runs; gives what asks it for JSON."""
    command = [EXPLORE, "dashboard", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline()
        link = re.search(r"http://\S+", said)
        assert link is not None, said
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        opener.open(link.group(), timeout=60).close()
        address = link.group().partition("/?")[0]

        def ask(path: str) -> Any:
            with opener.open(address + path, timeout=60) as answer:
                return json.loads(answer.read())

        yield ask
    finally:
        process.terminate()
        process.communicate(timeout=60)


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_sha256(path) for path in folder.rglob("*") if path.is_file()}


def _chmod(folder: Path, of_folders: int, of_files: int) -> None:
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else of_files)
    for path in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
        path.chmod(of_folders)
