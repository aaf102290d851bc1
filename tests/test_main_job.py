"""The main job, whole: `explore start` through the installed command, on the smallest search space that has it all.

It is killed and resumed in test_resume.py, and runs on CIFAR-10 in test_images_job.py; on the spaces that are shipped,
its figures are those of benchmarks/main_job.py.
"""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from explorer.metrics import METRICS
from explorer.system.hashing import file_sha256

ROOT = Path(__file__).parents[1]
EXPLORE = str(Path(sys.executable).with_name("explore"))
N_TRIALS = 4
SPACE = """\
name: main
model: slimmable_cnn
training: {recipe: quick}
recovery: {steps: 3}
data: {name: digits, validation: 200, calibration: 32}  # those of other tests: its network is trained once a run
parameters:
  width: [0.5, 1.0]
  pruning_ratio: [0.0, 0.3]
  quantization: [none, static_int8]
  runtime: [eager, onnxruntime]
  exit_threshold: [0.8, 1.0]
objectives: {accuracy: maximize, latency_ms: minimize, cost_usd_per_million: minimize}
constraints: [peak_memory_mib <= 1024, accuracy >= 0.95 * baseline]
search: {sampler: tpe, trials: 4, seed: 6}  # one for each value; the baseline alone is eager, and imports torch
"""

pytestmark = [pytest.mark.slow, pytest.mark.measures]


def installed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([EXPLORE, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> SimpleNamespace:
    """The job, begun and watched as a user's: its search space, its folder, what it printed, and what it took."""
    place = tmp_path_factory.mktemp("job")
    space, said, errors = place / "main.yaml", place / "stdout", place / "stderr"
    space.write_text(SPACE)
    peak_mib, has_torch = 0.0, False
    with said.open("w") as stdout, errors.open("w") as stderr:
        command = [EXPLORE, "start", str(space), "--studies", str(place / "studies"), "--json"]
        running = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr)
        while running.poll() is None:
            with contextlib.suppress(OSError, psutil.Error):
                peak_mib = max(peak_mib, psutil.Process(running.pid).memory_info().rss / 2**20)
                has_torch |= "libtorch" in Path(f"/proc/{running.pid}/maps").read_text()
            time.sleep(0.1)
    assert running.returncode == 0, errors.read_text()
    folder, printed = place / "studies" / "main", json.loads(said.read_text())
    return SimpleNamespace(space=space, folder=folder, printed=printed, peak_mib=peak_mib, has_torch=has_torch)


@pytest.fixture
def study(job) -> tuple[Path, dict[str, Any]]:
    """The job's folder and what it printed."""
    return job.folder, job.printed


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_study_ends_with_a_front_of_measured_artifacts(study):
    folder, summary = study
    assert summary["study"] == "main"
    assert summary["front"]
    assert sum(summary["trials"].values()) == N_TRIALS
    assert summary["trials"]["failed"] == 0
    assert summary["confirmed"]
    assert summary["hypervolume"] > 0
    assert sum(entry["knee"] for entry in summary["front"]) == 1
    for entry in summary["front"]:
        assert entry["feasible"]
        assert set(entry["metrics"]) == set(METRICS)
        accuracy = entry["metrics"]["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        assert accuracy["n"] == 200
        assert entry["metrics"]["latency_ms"]["n"] >= 3  # rounds
        assert 0 <= entry["probability"] <= 1
        assert entry["test_accuracy"]["n"] == 359
        artifact = folder / "artifacts" / entry["artifact"]
        facts = json.loads((artifact / "artifact.json").read_text())
        assert all(file_sha256(artifact / s["file"]) == s["sha256"] for s in facts["segments"])


def test_study_baseline_is_trial_0_and_learned_something(study):
    folder, _ = study
    first = trials(folder)[0]
    assert (first["trial"], first["width"], first["runtime"], first["quantization"]) == ("0", "1.0", "eager", "none")
    assert float(first["accuracy"]) >= 0.95


def test_study_writes_its_files(study):
    folder, summary = study
    for name in ("space.yaml", "study.db", "trials.csv", "front.csv", "report.html"):
        assert (folder / name).stat().st_size > 0
    rows = trials(folder)
    assert len(rows) == N_TRIALS
    assert {"state", "feasible", "exit_threshold", "latency_ms", "latency_ms_low", "latency_ms_high"} <= set(rows[0])
    with (folder / "front.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(summary["front"])
    assert "# fingerprint: " in (folder / "space.yaml").read_text().splitlines()[0]
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_study_raw_samples_give_the_stored_metrics(study, explore):
    folder, _ = study
    entry = json.loads(explore("front", str(folder), "--search", "--json").out)["front"][0]
    assert entry["metrics"]["latency_ms"]["n"] >= 200
    result = folder / "artifacts" / entry["artifact"] / "measurements" / f"trial-{entry['trial']:05d}.json"
    with np.load(result.with_suffix(".npz")) as raw:
        assert float(np.median(raw["latency_ns"][raw["latency_counts"] == 1])) / 1e6 == pytest.approx(
            entry["metrics"]["latency_ms"]["value"]
        )
        assert raw["outputs"].shape[1:] == (200, 10)
        assert raw["answers"].shape == (200, 10)


def test_study_probes_import_only_their_runtime(study, explore):
    folder, summary = study
    for entry in summary["front"]:
        shown = json.loads(explore("show", str(folder), str(entry["trial"]), "--json").out)
        expected = {"eager": "torch", "onnxruntime": "onnxruntime"}[entry["variant"]["runtime"]]
        assert shown["details"]["modules"][0] == expected
        assert ("torch" in shown["details"]["modules"]) == (expected == "torch")


def test_study_no_variant_is_measured_twice(study):
    folder, _ = study
    names = ("width", "pruning_ratio", "quantization", "runtime", "exit_threshold", "batch_size", "threads")
    seen = [tuple(row[name] for name in names) for row in trials(folder)]
    assert len(seen) == len(set(seen))
    assert ("eager", "static_int8") not in {(row["runtime"], row["quantization"]) for row in trials(folder)}


def test_front_show_and_report_read_the_finished_study(study, explore):
    folder, summary = study
    assert json.loads(explore("front", str(folder), "--json").out) == summary
    table = explore("front", "main", "--studies", str(folder.parent))
    assert table.exit_code == 0
    assert "accuracy" in table.out.lower()
    nothing = explore("front", str(folder), "--where", "latency_ms <= 0.000001")
    assert nothing.exit_code == 3
    assert "latency_ms" in nothing.err
    report = explore("report", str(folder), "-o", str(folder / "again.html"))
    assert report.exit_code == 0
    assert (folder / "again.html").read_text().count("<html") == 1


def test_start_again_finished_study_measures_nothing_and_shows_the_front(job):
    again = installed("start", str(job.space), "--studies", str(job.folder.parent), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == job.printed


def test_start_changed_space_is_refused_with_a_diff_and_forks(job, tmp_path):
    changed = tmp_path / "main.yaml"
    changed.write_text(SPACE.replace("accuracy >= 0.95 * baseline", "accuracy >= 0.90 * baseline"))
    options = ("start", str(changed), "--studies", str(job.folder.parent))
    refused = installed(*options)
    assert refused.returncode == 6
    assert "0.95" in refused.stderr
    assert "0.9 " in refused.stderr
    assert "--fork" in refused.stderr
    forked = installed(*options, "--fork", "forked", "--trials", str(N_TRIALS), "--json", "--no-confirm")
    assert forked.returncode == 0, forked.stderr
    assert f"{N_TRIALS} trials" in forked.stderr
    assert json.loads(forked.stdout)["study"] == "forked"


def test_coordinator_never_maps_torch_and_stays_small(job):
    assert not job.has_torch
    assert 0 < job.peak_mib < 250
