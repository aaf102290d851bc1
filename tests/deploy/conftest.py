"""A small real study with every kind of variant, and bundles of its trials."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from explorer.deploy.export.bundle import write_bundle
from explorer.deploy.export.plan import artifact_of, export_plan
from explorer.deploy.selection import Selection, choose
from explorer.deploy.study_data import data_at_hand, quality_on_test
from explorer.study.read import load_result
from explorer.study.result import StudyResult, TrialRecord
from explorer.tasks.classification import Classification

# kinds.py and tiny_bundle.py are shared by this folder's tests, tests/fakes.py by several folders of tests
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

SPACE = """\
name: small
model: slimmable_cnn
training: {recipe: quick}
recovery: {steps: 3}
data: {name: digits, validation: 200, calibration: 32}
parameters:
  width: 0.5
  pruning_ratio: [0.0, 0.3]
  quantization: [none, dynamic_int8, static_int8]
  runtime: [eager, onnxruntime]
  exit_threshold: [0.8, 1.0]
objectives: {accuracy: maximize, latency_ms: minimize}
constraints: [accuracy >= 0.2]
search: {sampler: grid, trials: 9, seed: 128126}  # the grid's first eight, in this order, are kinds.py's
"""


@pytest.fixture(scope="session")
def small_study(once, known_times) -> StudyResult:
    """A finished study on digits, 9 trials, whose times are known. Not to be changed: copy its folder first."""

    def make(root: Path) -> None:
        (root / "small.yaml").write_text(SPACE)
        options = ["--studies", str(root), "--no-dashboard", "--quiet"]
        subprocess.run([known_times, "start", str(root / "small.yaml"), *options], check=True, timeout=1800, cwd=root)

    result = load_result(once("small", make) / "small")
    assert len(result.trials) == 9
    assert all(trial.outcome.failure is None and not trial.outcome.invalid for trial in result.trials)
    return result


@pytest.fixture(scope="session")
def trial_of(small_study) -> Callable[[tuple[str, str, float, float]], TrialRecord]:
    """The small study's trial of a kind."""

    def find(kind: tuple[str, str, float, float]) -> TrialRecord:
        for trial in small_study.trials[1:]:
            v = trial.variant
            if tuple(v[name] for name in ("runtime", "quantization", "exit_threshold", "pruning_ratio")) == kind:
                return trial
        raise AssertionError(kind)

    return find


@pytest.fixture(scope="session")
def bundle_of(small_study, trial_of, tmp_path_factory) -> Callable[[tuple[str, str, float, float]], Path]:
    """The bundle of a kind, written once. Not to be changed."""
    root = tmp_path_factory.mktemp("bundles")
    made: dict[object, Path] = {}

    def make(kind: tuple[str, str, float, float]) -> Path:
        if kind not in made:
            trial = trial_of(kind)
            choice = choose(small_study, Selection(trial=trial.number), is_forced=True)
            artifact = artifact_of(small_study, trial)
            data = data_at_hand(small_study.space.data, small_study.provenance["identity"]["data"]["fingerprint"], None)
            test = quality_on_test(artifact, trial.variant, data, small_study.space.task, None)
            folder = root / f"trial-{trial.number}"
            folder.mkdir()
            plan = export_plan(small_study, choice, artifact, test)
            write_bundle(folder, replace(plan, card="# a card\n", picture="<svg/>\n"))
            made[kind] = folder
        return made[kind]

    return make


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """An honest bundle with an early exit, made in a moment. Not to be changed: `bundle` may be."""
    from tiny_bundle import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle", n_exits=2)


@pytest.fixture
def bundle(whole, tmp_path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def validation(small_study) -> SimpleNamespace:
    """The validation images [n, c, h, w] and labels [n] of the small study."""
    from explorer.data.preparing import prepare
    from explorer.data.splits import split

    splits = split(prepare(small_study.space.data, None, lambda _: None), small_study.space.data, Classification())
    return SimpleNamespace(images=np.load(splits.examples.inputs), labels=np.load(splits.examples.targets))
