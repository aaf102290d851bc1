"""The real evaluator on small networks: what it builds, what it keeps, and what a crash costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from explorer.cache import cache_root
from explorer.errors import DeviceNotAvailable, ModelError
from explorer.hashing import file_sha256
from explorer.measure.energy import EnergyCounter
from explorer.measure.timing import FULL, QUARTER
from explorer.objectives import METRICS, Objective
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.read import load_space
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.vocabulary import vocabulary
from explorer.study.worth import always

SPACE = """\
name: own
model: own_networks:{function}
data: {{name: digits}}
parameters:
  pruning_ratio: [0.0, 0.5]
  quantization: [none, static_int8]
  runtime: [eager, onnxruntime]
objectives: {{accuracy: maximize, latency_ms: minimize}}
recovery: {{steps: 2}}
"""


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch):
    """Whatever else runs on this machine, measurements are believed."""
    monkeypatch.setattr("explorer.measure.results.reasons", lambda seen: ())


@pytest.fixture
def evaluator_of(tmp_path, monkeypatch):
    """A prepared evaluator of one of the functions of own_networks."""
    monkeypatch.chdir(Path(__file__).parent)
    made = []

    def make(function: str) -> MeasuringEvaluator:
        file = tmp_path / "own.yaml"
        file.write_text(SPACE.format(function=function))
        evaluator = MeasuringEvaluator(load_space(file, vocabulary()), tmp_path / "study", None)
        made.append(evaluator)
        evaluator.prepare(lambda _: None)
        return evaluator

    yield make
    for evaluator in made:
        evaluator.close()


def test_prepare_keeps_what_is_left_out_of_the_space_as_provenance(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)
    (tmp_path / "own.yaml").write_text(SPACE.format(function="good"))
    space = load_space(tmp_path / "own.yaml", vocabulary())
    evaluator = MeasuringEvaluator(space, tmp_path / "study", None, left_out={"onnxruntime": "not installed"})
    try:
        assert evaluator.prepare(lambda _: None).provenance["left_out"] == {"onnxruntime": "not installed"}
    finally:
        evaluator.close()


def test_evaluate_variant_builds_and_measures_an_artifact(evaluator_of, tmp_path):
    evaluator = evaluator_of("good")
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
    assert outcome.details["modules"] == ["onnxruntime"]


def test_evaluate_same_variant_again_builds_nothing_and_keeps_its_accuracy(evaluator_of):
    evaluator = evaluator_of("good")
    variant = Variant(runtime="onnxruntime", quantization="static_int8", pruning_ratio=0.5)
    first = evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: True)
    second = evaluator.evaluate(variant, 1, lambda _: None, lambda metrics: True)
    assert first.failure is None
    assert second.artifact == first.artifact
    assert all(stage.is_cached for stage in second.stages if stage.name not in ("store", "measure"))
    assert second.details["has_known_logits"]
    assert second.metrics["accuracy"] == first.metrics["accuracy"]


def test_evaluate_builder_segfault_fails_the_trial_and_the_next_one_runs(evaluator_of):
    evaluator = evaluator_of("segfaults_when_pruned")
    failed = evaluator.evaluate(
        Variant(runtime="onnxruntime", pruning_ratio=0.5), 1, lambda _: None, lambda metrics: True
    )
    assert failed.failure is not None
    assert failed.failure.kind == "signal SIGSEGV"
    assert failed.artifact is None
    assert evaluator.evaluate(Variant(runtime="onnxruntime"), 2, lambda _: None, lambda metrics: True).failure is None


def test_evaluate_builder_that_always_dies_fails_every_trial_the_same_way(evaluator_of):
    evaluator = evaluator_of("aborts_when_built")
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
        evaluator_of("raises")


def test_prepare_energy_without_counters_is_refused(tmp_path):
    if EnergyCounter.open().why is None:
        pytest.skip("this machine has energy counters")
    file = tmp_path / "own.yaml"
    file.write_text(SPACE.format(function="good"))
    space = load_space(file, vocabulary())
    space = replace(space, objectives=(*space.objectives, Objective("energy_mj", "minimize")))
    with pytest.raises(DeviceNotAvailable, match="energy_mj"):
        MeasuringEvaluator(space, tmp_path, None).prepare(lambda _: None)


def test_stored_artifact_of_a_stranger_is_not_loaded(tmp_path):
    """Neither a builder nor a probe is started for it: this evaluator was never prepared."""
    file = tmp_path / "own.yaml"
    file.write_text(SPACE.format(function="good"))
    evaluator, children = (
        MeasuringEvaluator(load_space(file, vocabulary()), tmp_path, None),
        psutil.Process().children(),
    )
    folder = tmp_path / "artifacts" / "a1"
    folder.mkdir(parents=True)
    segment = folder / "segment_0.pt2"
    segment.write_bytes(b"no program")
    segments = [{"file": segment.name, "sha256": file_sha256(segment)}]
    named = {"id": "a1", "runtime": "eager", "quantization": "none", "exit_threshold": 1.0}
    facts = {"format": 1, **named, "segments": segments}
    spoilt = ["{", "[]", json.dumps({**facts, "segments": 3}), json.dumps({**facts, "format": 2})]
    cases = [*((text, "the artifact a1 does not read") for text in spoilt), (json.dumps(facts), "is not an archive")]
    for text, why in cases:
        (folder / "artifact.json").write_text(text)
        outcome = evaluator.measure_again(Variant(), "a1", "again", lambda _: None, always)
        assert outcome.failure is not None
        assert outcome.failure.kind == "artifact not loaded"
        assert why in outcome.failure.reason
        assert evaluator.judge_on_test(Variant(), "a1", lambda _: None).why == outcome.failure.reason
    segment.write_bytes(b"another")
    assert "segment_0.pt2 in" in str(evaluator.measure_again(Variant(), "a1", "again", lambda _: None, always).failure)
    assert psutil.Process().children() == children


def test_close_leaves_no_process(evaluator_of):
    evaluator = evaluator_of("good")
    children = psutil.Process().children(recursive=True)
    assert children
    evaluator.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_evaluate_relates_every_time_to_the_first_that_had_it(evaluator_of, tmp_path):
    """The baseline does not wait for the anchor: its pulse is the reference, and the next trial's anchor."""
    evaluator = evaluator_of("good")

    def kept():
        return json.loads((tmp_path / "study" / "anchor.json").read_text())

    first = evaluator.evaluate(Variant(), 0, lambda _: None, lambda metrics: True)
    assert first.details["anchor"]["value"] is None
    assert (kept()["artifact"], kept()["anchor_ns"]) == (None, None)
    assert kept()["pulse_ns"] / 1e6 == pytest.approx(first.details["anchor"]["pulse"])
    again = evaluator.measure_again(Variant(), first.artifact, "again", lambda _: None, always)
    assert again.details["anchor"]["value"] > 0
    assert again.details["modules"] == ["torch"]  # the anchor came after what the candidate needs
    assert again.details["anchor"]["pulse_reference"] == pytest.approx(first.details["anchor"]["pulse"])
    second = evaluator.evaluate(Variant(runtime="onnxruntime"), 1, lambda _: None, lambda metrics: True)
    assert kept()["anchor_ns"] / 1e6 == pytest.approx(second.details["anchor"]["value"])
    third = evaluator.measure_again(second.variant, second.artifact, "third", lambda _: None, always)
    anchor = third.details["anchor"]
    assert anchor["reference"] == pytest.approx(second.details["anchor"]["value"])
    assert anchor["slowness"] == pytest.approx(anchor["value"] / anchor["reference"])
    raw = third.details["timing"]["raw_latency_ms"]["value"]
    assert third.metrics["latency_ms"].value == pytest.approx(raw / anchor["pulse_slowness"], rel=0.5)


def test_evaluate_asks_for_the_whole_budget_only_where_it_is_worth_it(evaluator_of):
    evaluator = evaluator_of("good")
    seen = []

    def never(metrics):
        seen.append(set(metrics))
        return False

    quarter = evaluator.evaluate(Variant(runtime="onnxruntime"), 0, lambda _: None, never)
    whole = evaluator.evaluate(Variant(runtime="onnxruntime"), 1, lambda _: None, lambda metrics: True)
    assert seen[0] == set(METRICS)
    assert quarter.details["timing"]["budget"] == "quarter"
    assert whole.details["timing"]["budget"] == "whole"
    assert whole.metrics["latency_ms"].n >= FULL.min_queries
    assert quarter.metrics["latency_ms"].n >= QUARTER.min_queries


def test_evaluate_measurement_that_is_never_valid_is_kept_with_its_reason(evaluator_of, monkeypatch, tmp_path):
    monkeypatch.setattr("explorer.measure.results.reasons", lambda seen: ("others had its core",))
    evaluator = evaluator_of("good")
    outcome = evaluator.evaluate(Variant(runtime="onnxruntime"), 0, lambda _: None, lambda metrics: True)
    assert outcome.failure is None
    assert outcome.invalid == ("others had its core",)
    assert [stage.name for stage in outcome.stages].count("measure") == 3
    assert outcome.metrics["latency_ms"].value > 0
    assert not (tmp_path / "study" / "anchor.json").exists()


def test_evaluate_network_whose_anchor_cannot_be_built_is_measured_and_says_why(evaluator_of, monkeypatch):
    monkeypatch.setattr("explorer.study.evaluator.anchor_variant", lambda space: Variant(quantization="static_int8"))
    outcome = evaluator_of("good").evaluate(Variant(), 1, lambda _: None, lambda metrics: True)
    assert outcome.failure is None
    assert outcome.details["anchor"]["value"] is None
    assert "the anchor cannot be built: eager cannot execute static_int8" in outcome.details["anchor"]["why"]


def test_measure_again_and_judge_on_test_need_no_new_artifact(evaluator_of, tmp_path):
    evaluator = evaluator_of("good")
    variant = Variant(runtime="onnxruntime")
    first = evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: False)
    again = evaluator.measure_again(variant, first.artifact, "round-01", lambda _: None, always)
    assert again.metrics["accuracy"] == first.metrics["accuracy"]
    assert again.details["timing"]["budget"] == "whole"
    short = evaluator.measure_again(variant, first.artifact, "round-02", lambda _: None, lambda metrics: False)
    assert short.details["timing"]["budget"] == "quarter"
    assert (tmp_path / "study" / "artifacts" / first.artifact / "measurements" / "round-01.npz").is_file()
    test = evaluator.judge_on_test(variant, first.artifact, lambda _: None)
    assert 0 < test.low <= test.value <= test.high <= 1
    assert test.n != first.metrics["accuracy"].n
