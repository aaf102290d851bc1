"""The main job, whole: `explore start` through the installed command, killed and resumed, on digits and on CIFAR-10."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from explorer.hashing import file_sha256
from explorer.objectives import METRICS

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "search_spaces" / "digits.yaml"
CNN = ROOT / "search_spaces" / "cnn.yaml"
EXPLORE = str(Path(sys.executable).with_name("explore"))

pytestmark = pytest.mark.slow


def explore(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([EXPLORE, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def digits(digits_study, studies):
    """A copy of the study of digits.yaml, and what it printed."""
    folder, printed = digits_study
    return Path(shutil.copytree(folder, studies / "digits")), json.loads(printed)


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_digits_study_ends_with_a_front_of_measured_artifacts(digits):
    folder, summary = digits
    assert summary["study"] == "digits"
    assert summary["front"]
    assert sum(summary["trials"].values()) == 16
    assert summary["trials"]["failed"] == 0
    assert summary["confirmed"]
    assert summary["hypervolume"] > 0
    assert sum(entry["knee"] for entry in summary["front"]) == 1
    for entry in summary["front"]:
        assert entry["feasible"]
        assert set(entry["metrics"]) == set(METRICS)
        accuracy = entry["metrics"]["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        assert accuracy["n"] == 300
        assert entry["metrics"]["latency_ms"]["n"] >= 3  # rounds
        assert 0 <= entry["probability"] <= 1
        assert entry["test_accuracy"]["n"] == 359
        artifact = folder / "artifacts" / entry["artifact"]
        facts = json.loads((artifact / "artifact.json").read_text())
        assert all(file_sha256(artifact / s["file"]) == s["sha256"] for s in facts["segments"])


def test_digits_study_baseline_is_trial_0_and_learned_something(digits):
    folder, _ = digits
    first = trials(folder)[0]
    assert (first["trial"], first["width"], first["runtime"], first["quantization"]) == ("0", "1.0", "eager", "none")
    assert float(first["accuracy"]) >= 0.95


def test_digits_study_writes_its_files(digits):
    folder, summary = digits
    for name in ("space.yaml", "study.db", "trials.csv", "front.csv", "report.html"):
        assert (folder / name).stat().st_size > 0
    rows = trials(folder)
    assert len(rows) == 16
    assert {"state", "feasible", "exit_threshold", "latency_ms", "latency_ms_low", "latency_ms_high"} <= set(rows[0])
    with (folder / "front.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(summary["front"])
    assert "# fingerprint: " in (folder / "space.yaml").read_text().splitlines()[0]
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_digits_study_raw_samples_give_the_stored_metrics(digits):
    folder, _ = digits
    entry = json.loads(explore("front", str(folder), "--search", "--json").stdout)["front"][0]
    assert entry["metrics"]["latency_ms"]["n"] >= 200
    result = folder / "artifacts" / entry["artifact"] / "measurements" / f"trial-{entry['trial']:05d}.json"
    with np.load(result.with_suffix(".npz")) as raw:
        assert float(np.median(raw["latency_ns"])) / 1e6 == pytest.approx(entry["metrics"]["latency_ms"]["value"])
        assert raw["logits"].shape[1:] == (300, 10)
        assert len(raw["predictions"]) == 300


def test_digits_study_probes_import_only_their_runtime(digits):
    folder, summary = digits
    for entry in summary["front"]:
        shown = json.loads(explore("show", str(folder), str(entry["trial"]), "--json").stdout)
        expected = {"eager": "torch", "onnxruntime": "onnxruntime"}[entry["variant"]["runtime"]]
        assert shown["details"]["modules"][0] == expected
        assert ("torch" in shown["details"]["modules"]) == (expected == "torch")


def test_digits_study_no_variant_is_measured_twice(digits):
    folder, _ = digits
    names = ("width", "pruning_ratio", "quantization", "runtime", "exit_threshold", "batch_size", "threads")
    seen = [tuple(row[name] for name in names) for row in trials(folder)]
    assert len(seen) == len(set(seen))
    assert ("eager", "static_int8") not in {(row["runtime"], row["quantization"]) for row in trials(folder)}


def test_front_show_and_report_read_the_finished_study(digits):
    folder, summary = digits
    assert json.loads(explore("front", str(folder), "--json").stdout) == summary
    table = explore("front", "digits", "--studies", str(folder.parent))
    assert table.returncode == 0
    assert "accuracy" in table.stdout.lower()
    nothing = explore("front", str(folder), "--where", "latency_ms <= 0.000001")
    assert nothing.returncode == 3
    assert "latency_ms" in nothing.stderr
    report = explore("report", str(folder), "-o", str(folder / "again.html"))
    assert report.returncode == 0
    assert (folder / "again.html").read_text().count("<html") == 1


def test_start_again_finished_study_measures_nothing_and_shows_the_front(digits):
    folder, summary = digits
    again = explore("start", str(DIGITS), "--studies", str(folder.parent), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == summary


def test_start_changed_space_is_refused_with_a_diff(digits, tmp_path):
    folder, _ = digits
    changed = tmp_path / "digits.yaml"
    changed.write_text(DIGITS.read_text().replace("accuracy >= 0.95 * baseline", "accuracy >= 0.90 * baseline"))
    refused = explore("start", str(changed), "--studies", str(folder.parent))
    assert refused.returncode == 6
    assert "0.95" in refused.stderr
    assert "0.9 " in refused.stderr
    assert "--fork" in refused.stderr
    forked = explore(
        "start",
        str(changed),
        "--studies",
        str(folder.parent),
        "--fork",
        "forked",
        "--trials",
        "16",
        "--json",
        "--no-confirm",
    )
    assert forked.returncode == 0, forked.stderr
    assert "16 trials" in forked.stderr
    assert json.loads(forked.stdout)["study"] == "forked"


def test_start_same_seed_again_proposes_the_same_variants(digits, studies):
    folder, _ = digits
    done = explore("start", str(DIGITS), "--studies", str(studies), "--name", "twin", "--trials", "14", "--no-confirm")
    assert done.returncode == 0, done.stderr
    first, second = (trials(f)[:14] for f in (folder, studies / "twin"))
    # Samplers are told nothing of an invalid measurement, so there the two studies know different things.
    is_invalid = [
        one["state"] == "invalid" or other["state"] == "invalid" for one, other in zip(first, second, strict=True)
    ]
    n_told_the_same = is_invalid.index(True) + 1 if True in is_invalid else 14
    names = ("width", "pruning_ratio", "quantization", "runtime", "exit_threshold")
    assert [[row[n] for n in names] for row in first[:n_told_the_same]] == [
        [row[n] for n in names] for row in second[:n_told_the_same]
    ]


def descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(psutil.Process(pid).children(recursive=True))
    return []


def started_trial(folder: Path, number: int) -> bool:
    """Whether the study has begun that trial, asked of its own database."""
    if not (folder / "study.db").exists():
        return False
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        return bool(database.execute("SELECT 1 FROM trials WHERE number = ?", (number,)).fetchone())
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_start_stopped_in_the_middle_of_a_trial_goes_on_and_loses_nothing(studies, number, digits):
    name = f"stopped-{number.name.lower()}"
    arguments = [EXPLORE, "start", str(DIGITS), "--studies", str(studies), "--name", name, "--trials", "6"]
    arguments.append("--no-confirm")
    folder = studies / name
    running = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not started_trial(folder, 3) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.poll() is None, running.communicate()[1]
    family = descendants(running.pid)
    assert family
    running.send_signal(number)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)
    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    before = {f.name: f.read_bytes() for f in (folder / "artifacts").glob("*/measurements/*.json")}
    if number == signal.SIGINT:
        assert "explore start" in said
        assert (folder / "trials.csv").is_file()
    resumed = explore(*arguments[1:], "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert sum(json.loads(resumed.stdout)["trials"].values()) == 6
    after = {f.name: f.read_bytes() for f in (folder / "artifacts").glob("*/measurements/*.json")}
    assert before.items() <= after.items()
    names = ("width", "pruning_ratio", "quantization", "runtime", "exit_threshold")
    reference = [tuple(row[n] for n in names) for row in trials(digits[0])][:6]
    assert [tuple(row[n] for n in names) for row in trials(folder)] == reference


def test_second_start_of_a_running_study_is_refused_with_its_holder(studies, digits):
    arguments = [
        EXPLORE,
        "start",
        str(DIGITS),
        "--studies",
        str(studies),
        "--name",
        "held",
        "--quiet",
        "--trials",
        "16",
        "--no-confirm",
    ]
    running = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not started_trial(studies / "held", 0) and time.monotonic() < deadline:
            time.sleep(0.05)
        second = explore("start", str(DIGITS), "--studies", str(studies), "--name", "held")
        assert second.returncode == 6
        assert str(running.pid) in second.stderr
    finally:
        running.terminate()
        running.wait(30)


def test_coordinator_never_maps_torch_and_stays_small(studies, digits):
    arguments = [
        EXPLORE,
        "start",
        str(DIGITS),
        "--studies",
        str(studies),
        "--name",
        "watched",
        "--trials",
        "5",
        "--quiet",
        "--no-confirm",
    ]
    running = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL)
    peak_mib, has_torch = 0.0, False
    while running.poll() is None:
        with contextlib.suppress(OSError, psutil.Error):
            peak_mib = max(peak_mib, psutil.Process(running.pid).memory_info().rss / 2**20)
            has_torch |= "libtorch" in Path(f"/proc/{running.pid}/maps").read_text()
        time.sleep(0.1)
    assert running.returncode == 0
    assert not has_torch
    assert 0 < peak_mib < 250


@pytest.fixture
def cifar10() -> Path:
    root = Path(os.environ.get("EXPLORER_DATA", ROOT / "data"))
    if not any(root.glob("cifar10*")) and not (root / "cifar-10-batches-py").exists():
        if os.environ.get("CI") and (ROOT.parent / "shared" / "data").exists():
            pytest.fail("CIFAR-10 is at hand, and EXPLORER_DATA does not say so")
        pytest.skip(f"no CIFAR-10 in {root}: set EXPLORER_DATA to a folder that has it")
    return root


def test_cifar10_shipped_weights_are_good_at_any_width_of_each_stage(cifar10, tmp_path):
    space = tmp_path / "stages.yaml"
    space.write_text(
        "name: stages\nmodel: slimmable_cnn\ntraining: {weights: shipped}\ndata: {name: cifar10, validation: 1000}\n"
        "parameters: {width: {per_stage: [0.25, 0.5, 0.75, 1.0]}, runtime: onnxruntime}\n"
        "objectives: {accuracy: maximize, mega_macs: minimize}\nsearch: {sampler: random, trials: 5}\n"
    )
    done = explore("start", str(space), "--studies", str(tmp_path), "--data", str(cifar10), "--no-confirm")
    assert done.returncode == 0, done.stderr
    rows = trials(tmp_path / "stages")
    assert len({row["width"] for row in rows}) == 5
    assert all(float(row["accuracy"]) > 0.8 for row in rows), rows
    weights = json.loads(explore("show", str(tmp_path / "stages"), "0", "--json").stdout)["provenance"]["weights"]
    assert weights["card"]["recipe"]["name"] == "shipped"
    assert "shipped with the package" in (tmp_path / "stages" / "report.html").read_text()


def test_cifar10_small_study_on_real_images(cifar10, tmp_path):
    """From JPEG files to a front, with the quick recipe and few trials."""
    space = tmp_path / "small.yaml"
    text = CNN.read_text().replace("name: cifar10-cnn", "name: small").replace("validation: 5000", "validation: 1000")
    assert "weights: shipped " in text
    space.write_text(text.replace("weights: shipped ", "recipe: quick "))
    options = ("--data", str(cifar10), "--trials", "4", "--json", "--no-confirm")
    done = explore("start", str(space), "--studies", str(tmp_path), *options)
    assert done.returncode in (0, 3), done.stderr
    shown = json.loads(explore("show", str(tmp_path / "small"), "0", "--json").stdout)
    assert shown["metrics"]["accuracy"]["n"] == 1000
    assert shown["metrics"]["accuracy"]["value"] > 0.3
    assert shown["provenance"]["identity"]["data"]["n_test"] == 10_000
    rows = trials(tmp_path / "small")
    assert [row["state"] for row in rows].count("failed") == 0
    assert len(rows) == 4
    assert len({row["mega_macs"] for row in rows}) > 1
