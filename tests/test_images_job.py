"""From image files to a front: CIFAR-10 with the shipped weights, and small JPEG files whose network is trained."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
CLASSES = ("blue", "green", "red")

pytestmark = pytest.mark.slow


@pytest.fixture
def explore(known_times):
    """Runs a command, of known times."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(known_times), *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)

    return run


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def cifar10() -> Path:
    root = Path(os.environ.get("EXPLORER_DATA", ROOT / "data"))
    if not any(root.glob("cifar10*")) and not (root / "cifar-10-batches-py").exists():
        if os.environ.get("CI") and (ROOT.parent / "shared" / "data").exists():
            pytest.fail("CIFAR-10 is at hand, and EXPLORER_DATA does not say so")
        pytest.skip(f"no CIFAR-10 in {root}: set EXPLORER_DATA to a folder that has it")
    return root


def test_cifar10_shipped_weights_are_good_at_any_width_of_each_stage(cifar10, explore, tmp_path):
    space = tmp_path / "stages.yaml"
    space.write_text(
        "name: stages\nmodel: slimmable_cnn\ntraining: {weights: shipped}\ndata: {name: cifar10, validation: 1000}\n"
        "parameters: {width: {per_stage: [0.25, 0.5, 0.75, 1.0]}, runtime: onnxruntime}\n"
        "objectives: {accuracy: maximize, mega_macs: minimize}\nsearch: {sampler: random, trials: 3}\n"
    )
    done = explore("start", space, "--studies", tmp_path, "--data", cifar10, "--no-confirm")
    assert done.returncode == 0, done.stderr
    rows = trials(tmp_path / "stages")
    assert len({row["width"] for row in rows}) == 3
    assert all(float(row["accuracy"]) > 0.8 for row in rows), rows
    shown = json.loads(explore("show", tmp_path / "stages", 0, "--json").stdout)
    assert shown["metrics"]["accuracy"]["n"] == 1000
    assert shown["provenance"]["identity"]["data"]["n_test"] == 10_000
    weights = shown["provenance"]["weights"]
    assert weights["card"]["recipe"]["name"] == "shipped"
    assert "shipped with the package" in (tmp_path / "stages" / "report.html").read_text()


@pytest.fixture
def pictures(tmp_path) -> Path:
    """JPEG files of 12 by 12 pixels: noise, in which the color of the class is stronger."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 30), ("test", 10)):
        for channel, name in enumerate(reversed(CLASSES)):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for index in range(n):
                pixels = rng.integers(0, 128, (12, 12, 3), dtype=np.uint8)
                pixels[..., channel] += 64
                Image.fromarray(pixels).save(folder / f"{index:02d}.jpg", quality=95)
    return tmp_path / "pictures"


def test_small_study_of_jpeg_files_trains_a_network_and_ends_with_a_front(pictures, explore, tmp_path):
    space = tmp_path / "pictures.yaml"
    space.write_text(
        "name: colors\nmodel: slimmable_cnn\ntraining: {recipe: quick}\nrecovery: {steps: 3}\n"
        f"data: {{name: image_folder, path: {pictures}, validation: 30, calibration: 16}}\n"
        "parameters: {width: [0.25, 1.0], quantization: [none, static_int8], runtime: [eager, onnxruntime]}\n"
        "objectives: {accuracy: maximize, latency_ms: minimize}\nsearch: {sampler: random, trials: 3}\n"
    )
    done = explore("start", space, "--studies", tmp_path, "--json", "--no-confirm")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["front"]
    shown = json.loads(explore("show", tmp_path / "colors", 0, "--json").stdout)
    assert shown["metrics"]["accuracy"]["n"] == 30
    assert shown["metrics"]["accuracy"]["value"] > 0.6  # chance is a third
    assert shown["provenance"]["task"]["facts"]["classes"] == list(CLASSES)
    assert shown["provenance"]["identity"]["data"]["n_test"] == 30
    rows = trials(tmp_path / "colors")
    assert [row["state"] for row in rows].count("failed") == 0
    assert len(rows) == 3
    assert len({row["mega_macs"] for row in rows}) > 1
