"""Real probes on hand-made ONNX models: what a good one yields, and what a bad one costs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from tiny_onnx import VARIANT, model

from explorer.measure import probing, quality_pass
from explorer.measure.metrics import Prices
from explorer.measure.probing import ProbeSettings, probe
from explorer.metrics import METRICS
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.system import cores
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.task import Examples


def measured(
    artifact: Artifact, validation: Examples, tmp_path: Path, name: str = "trial-0", variant: Variant = VARIANT
):
    settings = ProbeSettings(validation, Prices(0.05, 0.005, 0.0), tmp_path / "logits")
    return probe(artifact, variant, settings, name)[0]


def test_probe_known_model_gives_its_known_accuracy_and_all_metrics(artifact_of, validation, tmp_path):
    artifact = artifact_of(model())
    made = measured(artifact, validation, tmp_path)
    assert set(made.metrics) == set(METRICS)
    assert made.metrics["accuracy"].value == pytest.approx(54 / 60)
    assert made.metrics["latency_ms"].n >= 200
    assert made.metrics["mega_macs"].value == 0.5
    assert made.metrics["n_parameters"].value == 7
    assert 0 < made.metrics["model_memory_mib"].value < made.metrics["peak_memory_mib"].value < 500
    assert [row[1] for row in made.observation.sections[0].rows] == pytest.approx([0.9, 0.9, 0.9])
    assert made.observation.cores == tuple(cores.measuring(cores.available(), 1))
    with np.load(artifact.folder / "measurements" / "trial-0.npz") as raw:
        assert raw["latency_counts"].sum() == made.metrics["latency_ms"].n
        assert raw["latency_ns"].sum() >= 0.5e9


def test_probe_results_in_another_folder_leave_the_artifacts_as_it_was(artifact_of, validation, tmp_path):
    artifact, results = artifact_of(model()), tmp_path / "results"
    before = sorted(artifact.folder.rglob("*"))
    made, _ = probe(
        artifact, VARIANT, ProbeSettings(validation, Prices(0, 0, 0), tmp_path / "logits"), "again", results
    )
    assert sorted(path.name for path in results.iterdir()) == ["again.json", "again.npz"]
    assert sorted(artifact.folder.rglob("*")) == before
    assert 0 < made.observation.processor_share < 1.01


@pytest.mark.parametrize("batch_size", [7, 100])
def test_probe_batch_larger_than_the_images_still_has_its_size(artifact_of, validation, tmp_path, batch_size):
    variant = Variant(runtime="onnxruntime", batch_size=batch_size)
    artifact = artifact_of(model())
    made = measured(artifact, validation, tmp_path, variant=variant)
    with np.load(artifact.folder / "measurements" / "trial-0.npz") as raw:
        assert raw["latency_exits"].shape[1] == batch_size
    per_query = made.metrics["throughput_per_s"].value * made.metrics["latency_mean_ms"].value / 1000
    assert per_query == pytest.approx(batch_size)


def test_probe_again_knows_the_logits_and_says_the_same(artifact_of, validation, tmp_path):
    artifact = artifact_of(model())
    first = measured(artifact, validation, tmp_path)
    second = measured(artifact, validation, tmp_path, "trial-1")
    assert not first.observation.has_known_outputs
    assert second.observation.has_known_outputs
    assert second.metrics["accuracy"] == first.metrics["accuracy"]


def emptied(file):
    file.write_bytes(b"")


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-100])


def overwritten(file):
    content = bytearray(file.read_bytes())
    content[200:400] = bytes(200)
    file.write_bytes(content)


def of_other_images(file):
    np.savez(file, outputs=np.zeros((1, 59, 3), np.float32))


def without_outputs(file):
    np.savez(file, others=np.zeros((1, 60, 3), np.float32))


@pytest.mark.parametrize("spoil", [emptied, cut_short, overwritten, of_other_images, without_outputs])
def test_probe_spoilt_logits_in_the_cache_are_computed_and_kept_again(artifact_of, validation, tmp_path, spoil):
    artifact = artifact_of(model())
    first = measured(artifact, validation, tmp_path)
    (kept,) = (tmp_path / "logits").iterdir()
    content = kept.read_bytes()
    spoil(kept)
    again = measured(artifact, validation, tmp_path, "trial-1")
    assert not again.observation.has_known_outputs
    assert again.metrics["accuracy"] == first.metrics["accuracy"]
    assert [(file, file.read_bytes()) for file in (tmp_path / "logits").iterdir()] == [(kept, content)]


def test_probe_random_output_is_refused(artifact_of, validation, tmp_path):
    noise = helper.make_node("RandomNormalLike", ["scores"], ["noise"])
    added = helper.make_node("Add", ["scores", "noise"], ["noisy"])
    with pytest.raises(WorkerFailed, match="other outputs the second time"):
        measured(artifact_of(model(noise, added, output="noisy")), validation, tmp_path)


def test_probe_not_a_number_is_refused(artifact_of, validation, tmp_path):
    negative = helper.make_node("Neg", ["scores"], ["negative"])
    root = helper.make_node("Sqrt", ["negative"], ["roots"])
    with pytest.raises(WorkerFailed, match="not finite"):
        measured(artifact_of(model(negative, root, output="roots")), validation, tmp_path)


def test_probe_file_that_is_no_model_is_refused_and_keeps_nothing(artifact_of, validation, tmp_path):
    artifact = artifact_of(b"not a model")
    with pytest.raises(WorkerFailed) as failed:
        measured(artifact, validation, tmp_path)
    assert failed.value.kind.endswith("in the probe")
    assert list((artifact.folder / "measurements").iterdir()) == []


@pytest.mark.parametrize(
    ("n_cores", "quota", "said"),
    [(1, 8, "2 threads need as many cores, and this process may use 1"), (2, 1, "a quota pays for 1 at once")],
)
def test_probe_fewer_cores_than_threads_is_the_trials_failure(
    artifact_of, validation, tmp_path, monkeypatch, n_cores, quota, said
):
    monkeypatch.setattr(cores, "available", lambda: list(range(n_cores)))
    monkeypatch.setattr("explorer.system.environment.usable_cores", lambda: quota)
    with pytest.raises(WorkerFailed, match=said) as failed:
        measured(artifact_of(model()), validation, tmp_path, variant=Variant(runtime="onnxruntime", threads=2))
    assert failed.value.kind == "too few cores"


def test_probe_hanging_is_ended_at_the_deadline_of_its_phase(artifact_of, validation, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "DEADLINES_S", {"": 60.0, "timing": 0.05})
    with pytest.raises(WorkerFailed) as failed:
        measured(artifact_of(model()), validation, tmp_path)
    assert failed.value.kind == "timeout in timing"
    assert os.sched_getaffinity(0) == set(cores.available())


def test_probe_dependent_on_its_batch_is_judged_in_the_variants_batch(artifact_of, validation, tmp_path):
    """Logits minus their mean over the batch: alone, every image has logits 0 and class 0."""
    mean = helper.make_node("ReduceMean", ["scores"], ["mean"], axes=[0], keepdims=1)
    shifted = helper.make_node("Sub", ["scores", "mean"], ["shifted"])
    artifact = artifact_of(model(mean, shifted, output="shifted"), is_batch_invariant=False)
    alone = measured(artifact, validation, tmp_path)
    in_sixes = measured(artifact, validation, tmp_path, "trial-1", Variant(runtime="onnxruntime", batch_size=6))
    assert alone.metrics["accuracy"].value == pytest.approx(20 / 60)
    assert in_sixes.metrics["accuracy"].value == pytest.approx(54 / 60)


def test_probe_accuracy_is_taken_on_every_core_though_this_process_left_some(
    artifact_of, validation, tmp_path, monkeypatch
):
    asked = []
    ask = quality_pass.WorkerProcess.ask

    def noted(child, request, *others):
        asked.append((request["cores"], request["all_cores"], cores.available()))
        return ask(child, request, *others)

    monkeypatch.setattr(quality_pass.WorkerProcess, "ask", noted)
    everything = cores.available()
    measured(artifact_of(model()), validation, tmp_path)
    measuring = cores.measuring(everything, 1)
    left = [core for core in everything if core not in measuring] or everything
    assert asked == [(measuring, everything, left)]
