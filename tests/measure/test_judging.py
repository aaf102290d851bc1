"""Judging on hand-made ONNX models: accuracy, exits, kept logits, and what a bad model costs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper
from tiny_onnx import VARIANT, model

from explorer.measure import intervals, probing
from explorer.measure.child import ChildFailed
from explorer.measure.judging import judge
from explorer.runtimes.artifact import Artifact


def judged(artifact, validation, cache, variant=VARIANT, fingerprint="test"):
    return judge(artifact, variant, validation.images, validation.labels, fingerprint, cache)


def batch_dependent():
    """Logits minus their mean over the batch: alone, every image has logits 0 and class 0."""
    mean = helper.make_node("ReduceMean", ["scores"], ["mean"], axes=[0], keepdims=1)
    shifted = helper.make_node("Sub", ["scores", "mean"], ["shifted"])
    return model(mean, shifted, output="shifted")


def test_judge_known_model_gives_its_known_accuracy_without_timing(artifact_of, validation, tmp_path):
    artifact = artifact_of(model())
    made = judged(artifact, validation, tmp_path / "logits")
    assert made.accuracy == intervals.share(54, 60)
    assert made.logits.shape == (1, 60, 3)
    assert made.exits.tolist() == [0] * 60
    assert made.predictions.tolist() == made.logits[0].argmax(axis=1).tolist()
    assert made.modules == ("onnxruntime",)
    assert not (artifact.folder / "measurements").exists()


def test_judge_again_takes_the_kept_logits(artifact_of, validation, tmp_path):
    artifact, cache = artifact_of(model()), tmp_path / "logits"
    first = judged(artifact, validation, cache)
    (kept,) = cache.iterdir()
    np.savez(kept, logits=np.roll(first.logits, 1, axis=2))
    assert judged(artifact, validation, cache).predictions.tolist() == ((first.predictions + 1) % 3).tolist()


def test_judge_spoilt_logits_in_the_cache_are_computed_and_kept_again(artifact_of, validation, tmp_path):
    artifact, cache = artifact_of(model()), tmp_path / "logits"
    first = judged(artifact, validation, cache)
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    kept.write_bytes(b"")
    assert judged(artifact, validation, cache).accuracy == first.accuracy
    assert kept.read_bytes() == content


def test_judge_other_images_are_not_answered_from_the_cache(artifact_of, validation, tmp_path):
    artifact, cache = artifact_of(model()), tmp_path / "logits"
    judged(artifact, validation, cache)
    np.save(validation.images, np.load(validation.images)[..., [1, 0, 2]])
    assert judged(artifact, validation, cache, fingerprint="others").accuracy.value < 0.5


def test_judge_without_a_cache_computes_anew_and_keeps_nothing(artifact_of, validation, tmp_path):
    artifact = artifact_of(model())
    before = sorted(tmp_path.rglob("*"))
    assert judged(artifact, validation, None).accuracy.value == pytest.approx(54 / 60)
    assert sorted(tmp_path.rglob("*")) == before


def test_judge_dependent_on_its_batch_is_judged_in_the_variants_batch(artifact_of, validation, tmp_path):
    artifact = artifact_of(batch_dependent(), is_batch_invariant=False)
    alone = judged(artifact, validation, tmp_path / "logits")
    in_sixes = judged(artifact, validation, tmp_path / "logits", replace(VARIANT, batch_size=6))
    assert alone.accuracy.value == pytest.approx(20 / 60)
    assert in_sixes.accuracy.value == pytest.approx(54 / 60)


def test_judge_more_threads_than_cores_still_judges(artifact_of, validation, tmp_path):
    made = judged(artifact_of(model()), validation, None, replace(VARIANT, threads=1_000_000))
    assert made.accuracy.value == pytest.approx(54 / 60)


def test_judge_early_exits_are_those_of_the_logits(artifact_of, validation):
    """Two black images have equal logits: they alone are too uncertain for the first exit."""
    images = np.load(validation.images)
    images[[0, 7]] = 0
    np.save(validation.images, images)
    once = artifact_of(model(early=True), exit_threshold=0.9)
    facts = {**once.facts, "segments": list(once.facts["segments"]) * 2}
    (once.folder / "artifact.json").write_text(json.dumps(facts))
    made = judged(Artifact(once.folder, facts), validation, None)
    assert made.logits.shape == (2, 60, 3)
    assert np.flatnonzero(made.exits).tolist() == [0, 7]


def test_judge_model_that_answers_for_another_number_of_images_is_refused(artifact_of, validation, tmp_path):
    first = helper.make_node("Slice", ["scores", "starts", "ends"], ["one"])
    with pytest.raises(ChildFailed, match=r"predictions \[2\] for 60 images"):
        judged(artifact_of(model(first, output="one")), validation, tmp_path / "logits")
    assert not (tmp_path / "logits").exists()


def test_judge_not_a_number_is_refused(artifact_of, validation, tmp_path):
    negative = helper.make_node("Neg", ["scores"], ["negative"])
    root = helper.make_node("Sqrt", ["negative"], ["roots"])
    with pytest.raises(ChildFailed, match="not finite"):
        judged(artifact_of(model(negative, root, output="roots")), validation, None)


def test_judge_hanging_is_ended_at_its_deadline(artifact_of, validation, monkeypatch):
    monkeypatch.setattr(probing, "DEADLINES_S", {"": 60.0, "accuracy": 0.0})
    with pytest.raises(ChildFailed) as failed:
        judged(artifact_of(model()), validation, None)
    assert failed.value.kind == "timeout in accuracy"
