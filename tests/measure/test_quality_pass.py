"""Judging on hand-made ONNX models: accuracy, exits, kept logits, and what a bad model costs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper
from tiny_onnx import VARIANT, model

from explorer import intervals
from explorer.measure import quality_pass
from explorer.measure.quality_pass import known_outputs, run_quality_pass
from explorer.runtimes.artifact import Artifact
from explorer.system import environment
from explorer.system.worker_process import WorkerFailed


def judged(artifact, validation, cache, variant=VARIANT, fingerprint="test"):
    return run_quality_pass(artifact, variant, replace(validation, fingerprint=fingerprint), cache)


def batch_dependent():
    """Logits minus their mean over the batch: alone, every image has logits 0 and class 0."""
    mean = helper.make_node("ReduceMean", ["scores"], ["mean"], axes=[0], keepdims=1)
    shifted = helper.make_node("Sub", ["scores", "mean"], ["shifted"])
    return model(mean, shifted, output="shifted")


def test_judge_known_model_gives_its_known_accuracy_without_timing(artifact_of, validation, tmp_path):
    artifact = artifact_of(model())
    made = judged(artifact, validation, tmp_path / "logits")
    assert made.quality["accuracy"] == intervals.share(54, 60)
    assert made.outputs.shape == (1, 60, 3)
    assert made.exits.tolist() == [0] * 60
    assert np.array_equal(made.answers, made.outputs[0])
    assert made.modules == ("onnxruntime",)
    assert not (artifact.folder / "measurements").exists()


def test_judge_again_takes_the_kept_logits(artifact_of, validation, tmp_path):
    artifact, cache = artifact_of(model()), tmp_path / "logits"
    first = judged(artifact, validation, cache)
    (kept,) = cache.iterdir()
    np.savez(kept, outputs=np.roll(first.outputs, 1, axis=2))
    assert np.array_equal(judged(artifact, validation, cache).answers, np.roll(first.answers, 1, axis=1))


def test_judge_spoilt_logits_in_the_cache_are_computed_and_kept_again(artifact_of, validation, tmp_path):
    artifact, cache = artifact_of(model()), tmp_path / "logits"
    first = judged(artifact, validation, cache)
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    kept.write_bytes(b"")
    assert judged(artifact, validation, cache).quality["accuracy"] == first.quality["accuracy"]
    assert kept.read_bytes() == content


def test_judge_other_images_are_not_answered_from_the_cache(artifact_of, validation, tmp_path):
    artifact, cache = artifact_of(model()), tmp_path / "logits"
    judged(artifact, validation, cache)
    np.save(validation.inputs, np.load(validation.inputs)[..., [1, 0, 2]])
    assert judged(artifact, validation, cache, fingerprint="others").quality["accuracy"].value < 0.5


def test_known_logits_are_those_of_a_processor_with_the_same_instructions(artifact_of, tmp_path, monkeypatch):
    """Kernels differ with them: without dot products int8 products may even saturate."""
    artifact, files = artifact_of(model()), []
    for instructions in (["avx2", "avx_vnni"], ["avx2"], ["avx2", "avx_vnni"]):
        here = {"instructions": instructions}
        monkeypatch.setattr(environment, "processor", lambda here=here: here)
        files.append(known_outputs(artifact, VARIANT, "test", tmp_path))
    assert files[0] == files[2] != files[1]


def test_judge_without_a_cache_computes_anew_and_keeps_nothing(artifact_of, validation, tmp_path):
    artifact = artifact_of(model())
    before = sorted(tmp_path.rglob("*"))
    assert judged(artifact, validation, None).quality["accuracy"].value == pytest.approx(54 / 60)
    assert sorted(tmp_path.rglob("*")) == before


def test_judge_dependent_on_its_batch_is_judged_in_the_variants_batch(artifact_of, validation, tmp_path):
    artifact = artifact_of(batch_dependent(), is_batch_invariant=False)
    alone = judged(artifact, validation, tmp_path / "logits")
    in_sixes = judged(artifact, validation, tmp_path / "logits", VARIANT.replaced(batch_size=6))
    assert alone.quality["accuracy"].value == pytest.approx(20 / 60)
    assert in_sixes.quality["accuracy"].value == pytest.approx(54 / 60)


def test_judge_more_threads_than_cores_still_judges(artifact_of, validation, tmp_path):
    made = judged(artifact_of(model()), validation, None, VARIANT.replaced(threads=1_000_000))
    assert made.quality["accuracy"].value == pytest.approx(54 / 60)


def test_judge_early_exits_are_those_of_the_logits(artifact_of, validation):
    """Two black images have equal logits: they alone are too uncertain for the first exit."""
    images = np.load(validation.inputs)
    images[[0, 7]] = 0
    np.save(validation.inputs, images)
    once = artifact_of(model(early=True), exit_threshold=0.9)
    facts = replace(once.facts, segments=once.facts.segments * 2)
    (once.folder / "artifact.json").write_text(json.dumps(facts.to_json()))
    made = judged(Artifact(once.folder, facts), validation, None)
    assert made.outputs.shape == (2, 60, 3)
    assert np.flatnonzero(made.exits).tolist() == [0, 7]


def test_judge_model_that_answers_for_another_number_of_images_is_refused(artifact_of, validation, tmp_path):
    first = helper.make_node("Slice", ["scores", "starts", "ends"], ["one"])
    with pytest.raises(WorkerFailed, match=r"2 answers for 60 examples"):
        judged(artifact_of(model(first, output="one")), validation, tmp_path / "logits")
    assert not (tmp_path / "logits").exists()


def test_judge_not_a_number_is_refused(artifact_of, validation, tmp_path):
    negative = helper.make_node("Neg", ["scores"], ["negative"])
    root = helper.make_node("Sqrt", ["negative"], ["roots"])
    with pytest.raises(WorkerFailed, match="not finite"):
        judged(artifact_of(model(negative, root, output="roots")), validation, None)


def test_judge_hanging_is_ended_at_its_deadline(artifact_of, validation, monkeypatch):
    monkeypatch.setattr(quality_pass, "DEADLINES_S", {"": 60.0, "quality": 0.0})
    with pytest.raises(WorkerFailed) as failed:
        judged(artifact_of(model()), validation, None)
    assert failed.value.kind == "timeout in quality"
