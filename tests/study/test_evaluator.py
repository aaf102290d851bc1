"""The real evaluator on small networks: what it builds, what it keeps, and what a crash costs."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from builder_here import BuilderHere
from fakes import STEAL, RecordingView, artifact_facts, segment, start

from explorer.data.preparing import prepare
from explorer.data.splits import split
from explorer.errors import DeviceNotAvailable, ModelError, UsageError
from explorer.measure import probing
from explorer.measure.anchor import known_level_ns, own_level_ns
from explorer.measure.energy import EnergyCounter
from explorer.measure.timing import Budget
from explorer.metrics import METRICS, Objective
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.read import Overrides, load_space
from explorer.space.values import DataSettings
from explorer.study import builder_process
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.read import load_result
from explorer.study.search.racing import always
from explorer.study.store.samples import trial_samples
from explorer.study.vocabulary import vocabulary
from explorer.system.hashing import cache_root, file_sha256
from explorer.tasks.classification import Classification

SPACE = """\
name: own
model: own_networks:{function}
input: {stated}
data: {{name: digits}}
parameters:
  pruning_ratio: [0.0, 0.5]
  quantization: [none, static_int8]
  runtime: [eager, onnxruntime]
objectives: {{accuracy: maximize, latency_ms: minimize}}
recovery: {{steps: 2}}
"""


FULL, QUARTER = Budget(80, 0.1, 0.4, 0.5), Budget(20, 0.02, 0.1, 0.2)


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch):
    """Whatever else runs on this machine, measurements are believed; and they are short."""
    monkeypatch.setattr("explorer.measure.results.reasons", lambda *seen: ())
    monkeypatch.setattr(probing.ProbeSettings, "budget", lambda settings, is_whole: FULL if is_whole else QUARTER)


@pytest.fixture
def evaluator_of(tmp_path, monkeypatch):
    """A prepared evaluator of one of the functions of own_networks, whose builder is here unless it `is_process`."""
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = []

    def make(function: str, stated: str = "dataset", is_process: bool = False) -> MeasuringEvaluator:
        if not is_process:
            monkeypatch.setattr(builder_process, "WorkerProcess", BuilderHere)
        file = tmp_path / "own.yaml"
        file.write_text(SPACE.format(function=function, stated=stated))
        evaluator = MeasuringEvaluator(load_space(file, vocabulary()), tmp_path / "study", None)
        made.append(evaluator)
        evaluator.prepare(lambda _: None)
        return evaluator

    yield make
    for evaluator in made:
        evaluator.close()


def test_prepare_keeps_what_views_tell_of_the_network_as_provenance(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(builder_process, "WorkerProcess", BuilderHere)
    (tmp_path / "own.yaml").write_text(SPACE.format(function="good", stated="{mean: [0.5], std: [0.25]}"))
    space = load_space(tmp_path / "own.yaml", vocabulary())
    evaluator = MeasuringEvaluator(space, tmp_path / "study", None, left_out={"onnxruntime": "not installed"})
    try:
        provenance = evaluator.prepare(lambda _: None).provenance
        validation = evaluator._builder.validation
    finally:
        evaluator.close()
    labels = np.load(validation.targets)
    assert provenance["left_out"] == {"onnxruntime": "not installed"}
    assert provenance["input"] == {"stated": "{mean: [0.5], std: [0.25]}", "mean": [0.5], "std": [0.25]}
    chance, majority = provenance["references"]
    assert (chance["value"], majority["value"]) == (0.1, np.bincount(labels).max() / len(labels))
    assert f"naming the class '{np.bincount(labels).argmax()}' every time" in majority["clause"]


def test_evaluate_variant_builds_and_measures_an_artifact(evaluator_of, tmp_path):
    evaluator = evaluator_of("good", is_process=True)
    stages = []
    outcome = evaluator.evaluate(
        Variant(runtime="onnxruntime"), 3, lambda progress: stages.append(progress.stage), lambda metrics: True
    )
    assert outcome.failure is None
    assert set(outcome.metrics) == set(METRICS)
    assert [stage.name for stage in outcome.stages] == ["width", "export", "store", "measure"]
    assert "measure" in stages
    artifact = Artifact.read(tmp_path / "study" / "artifacts" / outcome.artifact)
    assert artifact.damaged_files() == []
    kept = json.loads((artifact.folder / "measurements" / "trial-00003.json").read_text())
    assert kept["metrics"]["accuracy"]["value"] == outcome.metrics["accuracy"].value
    assert outcome.observation.modules == ("onnxruntime",)


def test_evaluate_own_network_is_as_accurate_as_its_author_found_it(evaluator_of, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    author = importlib.import_module("own_networks").nearest_mean()
    settings = DataSettings("digits", 300, 128)
    dataset = prepare(settings, None, lambda _: None)
    splits = split(dataset, settings, Classification())
    images, labels = np.load(splits.examples.inputs), np.load(splits.examples.targets)
    own = float(np.mean(author(torch.from_numpy(images / 255).float()).argmax(1).numpy() == labels))
    assert own > 0.85

    evaluator = evaluator_of("nearest_mean", "unit")
    for number, name in enumerate(("eager", "onnxruntime")):
        outcome = evaluator.evaluate(Variant(runtime=name), number, lambda _: None, lambda metrics: True)
        assert outcome.metrics["accuracy"].value == pytest.approx(own, abs=0.004)


def test_prepare_input_for_other_channels_is_refused(evaluator_of):
    with pytest.raises(UsageError, match="imagenet has the mean and std of 3 channels, and the inputs have 1 channel"):
        evaluator_of("good", "imagenet")


def test_evaluate_same_variant_again_builds_nothing_and_keeps_its_accuracy(evaluator_of):
    evaluator = evaluator_of("good")
    variant = Variant(runtime="onnxruntime", quantization="static_int8", pruning_ratio=0.5)
    first = evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: True)
    second = evaluator.evaluate(variant, 1, lambda _: None, lambda metrics: True)
    assert first.failure is None
    assert second.artifact == first.artifact
    assert all(stage.is_cached for stage in second.stages if stage.name not in ("store", "measure"))
    assert second.observation.has_known_outputs
    assert second.metrics["accuracy"] == first.metrics["accuracy"]


def test_evaluate_builder_segfault_fails_the_trial_and_the_next_one_runs(evaluator_of):
    evaluator = evaluator_of("segfaults_when_pruned", is_process=True)
    failed = evaluator.evaluate(
        Variant(runtime="onnxruntime", pruning_ratio=0.5), 1, lambda _: None, lambda metrics: True
    )
    assert failed.failure is not None
    assert failed.failure.kind == "signal SIGSEGV"
    assert failed.artifact is None
    assert evaluator.evaluate(Variant(runtime="onnxruntime"), 2, lambda _: None, lambda metrics: True).failure is None


def test_evaluate_builder_that_always_dies_fails_every_trial_the_same_way(evaluator_of):
    evaluator = evaluator_of("aborts_when_built", is_process=True)
    kinds = {
        evaluator.evaluate(Variant(), number, lambda _: None, lambda metrics: True).failure.kind for number in range(2)
    }
    assert kinds == {"signal SIGABRT"}


def test_evaluate_damaged_files_in_cache_and_study_are_built_again(evaluator_of, tmp_path):
    evaluator = evaluator_of("good")
    variant = Variant(runtime="onnxruntime", quantization="dynamic_int8")
    outcome = evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: True)
    (stored,) = (tmp_path / "study" / "artifacts" / outcome.artifact).glob("*.onnx")
    whole = stored.read_bytes()
    damaged = [stored, *(f for f in cache_root().glob("models/*/segment_0.onnx") if f.read_bytes() == whole)]
    assert len(damaged) == 2
    for file in damaged:
        file.write_bytes(b"not a model")
    again = evaluator.evaluate(variant, 1, lambda _: None, lambda metrics: True)
    assert again.failure is None
    assert stored.read_bytes() == whole
    assert again.metrics["accuracy"] == outcome.metrics["accuracy"]


def test_prepare_own_network_that_raises_is_a_model_error_with_its_traceback(evaluator_of):
    with pytest.raises(ModelError, match=r"(?s)Traceback.*no weights here"):
        evaluator_of("raises", is_process=True)


def test_prepare_energy_without_counters_is_refused(tmp_path):
    if EnergyCounter.open().why is None:
        pytest.skip("this machine has energy counters")
    file = tmp_path / "own.yaml"
    file.write_text(SPACE.format(function="good", stated="dataset"))
    space = load_space(file, vocabulary())
    space = replace(space, objectives=(*space.objectives, Objective("energy_mj", "minimize")))
    with pytest.raises(DeviceNotAvailable, match="energy_mj"):
        MeasuringEvaluator(space, tmp_path, None).prepare(lambda _: None)


def test_stored_artifact_of_a_stranger_is_not_loaded(tmp_path):
    """Neither a builder nor a probe is started for it: this evaluator was never prepared."""
    file = tmp_path / "own.yaml"
    file.write_text(SPACE.format(function="good", stated="dataset"))
    evaluator, children = (
        MeasuringEvaluator(load_space(file, vocabulary()), tmp_path, None),
        psutil.Process().children(),
    )
    folder = tmp_path / "artifacts" / "a1"
    folder.mkdir(parents=True)
    program = folder / "segment_0.pt2"
    program.write_bytes(b"no program")
    facts = artifact_facts(segment(program.name, file_sha256(program)), id="a1", runtime="eager").to_json()
    spoilt = ["{", "[]", json.dumps({**facts, "segments": 3}), json.dumps({**facts, "format": 3})]
    cases = [*((text, "the artifact a1 does not read") for text in spoilt), (json.dumps(facts), "is not an archive")]
    for text, why in cases:
        (folder / "artifact.json").write_text(text)
        outcome = evaluator.remeasure(Variant(), "a1", "again", lambda _: None, always)
        assert outcome.failure is not None
        assert outcome.failure.kind == "artifact not loaded"
        assert why in outcome.failure.reason
        assert evaluator.quality_on_test_split(Variant(), "a1", lambda _: None).why == outcome.failure.reason
    program.write_bytes(b"another")
    failure = evaluator.remeasure(Variant(), "a1", "again", lambda _: None, always).failure
    assert failure is not None
    assert "segment_0.pt2 in" in failure.reason
    assert psutil.Process().children() == children


def test_close_leaves_no_process(evaluator_of):
    evaluator = evaluator_of("good", is_process=True)
    children = psutil.Process().children(recursive=True)
    assert children
    evaluator.close()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_evaluate_judges_every_measurement_by_what_the_machine_has_shown(evaluator_of):
    evaluator = evaluator_of("good")
    first = evaluator.evaluate(Variant(), 0, lambda _: None, lambda metrics: True)
    known = known_level_ns()
    assert first.observation.anchor.level_ms == pytest.approx(known / 1e6, rel=0.01)
    assert first.observation.modules == ("torch",)
    again = evaluator.remeasure(Variant(), first.artifact, "again", lambda _: None, always)
    assert again.observation.anchor.level_ms == pytest.approx(known_level_ns() / 1e6, rel=0.01)
    assert again.metrics["latency_experienced_ms"].value > 0


def test_study_that_was_never_quiet_is_judged_again_when_it_is(evaluator_of, tmp_path, monkeypatch):
    """The first two trials are measured when the core is slow, and nothing has shown that: the level falls after it."""
    levels, found = iter([1.0, 1.0, 0.7]), probing.read_raw

    def steady(file: Path) -> dict[str, Any]:
        """Return what the probe wrote, as if the anchor had taken the same time throughout."""
        raw = found(file)
        return raw | {"anchor_ns": np.full_like(raw["anchor_ns"], 100_000)}

    monkeypatch.setattr(probing, "read_raw", steady)
    monkeypatch.setattr(probing, "known_level_ns", lambda: None)
    monkeypatch.setattr(probing, "learned_level_ns", lambda medians: own_level_ns(medians) * next(levels))
    monkeypatch.setattr("explorer.study.evaluator.MAX_ATTEMPTS", 1)
    monkeypatch.setattr("explorer.study.session.Session.can_reach_front", lambda session: lambda metrics: False)
    evaluator, folder, view = evaluator_of("good"), tmp_path / "study", RecordingView()
    space = replace(load_space(tmp_path / "own.yaml", vocabulary(), Overrides(n_trials=2)), name="study")
    first = start(space, folder, evaluator, view)
    slow = [trial.outcome.observation.anchor for trial in first.trials]
    assert [one.excess for one in slow] == [0.0, 0.0]
    result = start(replace(space, search=replace(space.search, n_trials=3)), folder, evaluator, view)
    anchors = [trial.outcome.observation.anchor for trial in result.trials]
    assert np.array([one.level_ms for one in anchors]) == pytest.approx(0.07)
    assert [one.excess for one in anchors] == pytest.approx([1 / 0.7 - 1] * 3)
    for before, after in zip(first.trials, result.trials, strict=False):
        assert after.values()["latency_ms"] < 0.8 * before.values()["latency_ms"]
        assert after.values()["accuracy"] == before.values()["accuracy"]
        assert len(trial_samples(result, after).latency_ns) == after.outcome.metrics["latency_ms"].n
    assert any("a lower quiet level of the core is known; trials judged again by it: 2" in note for note in view.notes)
    assert load_result(folder) == result


def test_evaluate_asks_for_the_whole_budget_only_where_it_is_worth_it(evaluator_of):
    evaluator = evaluator_of("good")
    seen = []

    def never(metrics):
        seen.append(set(metrics))
        return False

    quarter = evaluator.evaluate(Variant(runtime="onnxruntime"), 0, lambda _: None, never)
    whole = evaluator.evaluate(Variant(runtime="onnxruntime"), 1, lambda _: None, lambda metrics: True)
    assert seen[0] == set(METRICS)
    assert quarter.observation.timing.budget == "quarter"
    assert whole.observation.timing.budget == "whole"
    assert whole.observation.timing.n_answers >= FULL.min_queries
    assert quarter.observation.timing.n_answers >= QUARTER.min_queries


def test_evaluate_measurement_that_is_never_valid_is_kept_with_its_reason(evaluator_of, monkeypatch, tmp_path):
    monkeypatch.setattr("explorer.measure.results.reasons", lambda *seen: (STEAL,))
    evaluator = evaluator_of("good")
    outcome = evaluator.evaluate(Variant(runtime="onnxruntime"), 0, lambda _: None, lambda metrics: True)
    assert outcome.failure is None
    assert outcome.reasons == (STEAL,)
    assert [stage.name for stage in outcome.stages].count("measure") == 3
    assert outcome.metrics["latency_ms"].value > 0


def test_measure_again_and_judge_on_test_need_no_new_artifact(evaluator_of, tmp_path):
    evaluator = evaluator_of("good")
    variant = Variant(runtime="onnxruntime")
    first = evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: False)
    again = evaluator.remeasure(variant, first.artifact, "round-01", lambda _: None, always)
    assert again.metrics["accuracy"] == first.metrics["accuracy"]
    assert again.observation.timing.budget == "whole"
    short = evaluator.remeasure(variant, first.artifact, "round-02", lambda _: None, lambda metrics: False)
    assert short.observation.timing.budget == "quarter"
    assert (tmp_path / "study" / "artifacts" / first.artifact / "measurements" / "round-01.npz").is_file()
    test = evaluator.quality_on_test_split(variant, first.artifact, lambda _: None)
    assert 0 < test.low <= test.value <= test.high <= 1
    assert test.n != first.metrics["accuracy"].n
