"""Verify: an honest bundle of every kind holds, and what does not hold is found, with the folder left as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from kinds import KINDS
from onnx import helper
from tiny_bundle import change_manifest, seal, state, write_tiny_bundle

from explorer.deploy.verify import verify
from explorer.errors import RuntimeNotAvailable, UsageError
from explorer.hashing import file_sha256
from explorer.measure import probing
from explorer.runtimes.onnxruntime import OnnxRuntime


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An honest bundle of one segment."""
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file with its content and its time of change."""
    return {str(path): (file_sha256(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def verdicts(report) -> dict[str, str]:
    return {row.what: row.verdict for row in report.rows}


PROMISES = [
    "files",
    "artifact_size_mib",
    "packages",
    "device",
    "runtime",
    "sample logits",
    "sample exits and classes",
    "accuracy",
    "test accuracy",
    "latency_ms",
    "latency_mean_ms",
    "peak_memory_mib",
]


def test_verify_honest_holds_in_all_and_leaves_the_folder_as_it_was(whole):
    before = content(whole)
    seen = []
    report = verify(whole, on_progress=lambda progress: seen.append(progress.stage))
    assert verdicts(report) == dict.fromkeys(PROMISES, "holds")
    assert report.verdict == "holds"
    assert report.name == "tiny-trial-1"
    assert content(whole) == before
    assert "measure latency and memory" in seen
    accuracy = next(row for row in report.rows if row.what == "accuracy")
    assert accuracy.why == "exactly as stated"
    assert accuracy.to_json()["found"]["n"] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_verify_quick_every_kind_of_variant_holds(bundle_of, kind):
    report = verify(bundle_of(kind), is_quick=True)
    assert verdicts(report) == dict.fromkeys(PROMISES[:7], "holds")


def test_verify_tampered_file_fails_before_anything_runs(bundle, monkeypatch):
    monkeypatch.setattr(probing, "Child", lambda *_: pytest.fail("a probe was started"))
    with (bundle / "model" / "segment_0.onnx").open("r+b") as file:
        file.write(b"\0")
    report = verify(bundle)
    (row,) = report.rows
    assert (row.what, row.verdict, report.verdict) == ("files", "fails", "fails")
    assert row.found.startswith("model/segment_0.onnx is not the file of the manifest")
    assert report.failed == (row,)


def test_verify_samples_that_do_not_read_fail_before_anything_runs(bundle, monkeypatch):
    monkeypatch.setattr(probing, "Child", lambda *_: pytest.fail("a probe was started"))
    path = bundle / "samples.npz"
    path.write_bytes(path.read_bytes()[:-30])
    state(bundle, "samples.npz")
    (row,) = verify(bundle).rows
    assert row.found.startswith("samples.npz does not read")


def test_verify_never_executes_run_py(bundle, tmp_path):
    (bundle / "run.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    state(bundle, "run.py")
    assert verify(bundle, is_quick=True).verdict == "holds"
    assert not (tmp_path / "canary").exists()


def test_verify_other_model_of_the_same_shape_fails_on_the_samples_alone(bundle):
    """Somebody exchanged the model, and saw to it that every hash fits."""
    path = bundle / "model" / "segment_0.onnx"
    model = onnx.load(path)
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.roll(weights, 1, axis=1), "weights"))
    path.write_bytes(model.SerializeToString())
    seal(bundle, "model/segment_0.onnx")
    change_manifest(bundle, lambda facts: facts["metrics"].pop("artifact_size_mib"))
    report = verify(bundle)
    assert verdicts(report) == {
        **dict.fromkeys(PROMISES[:5], "holds"),
        "artifact_size_mib": "not checked",
        "sample logits": "fails",
        "sample exits and classes": "fails",
    }


def test_verify_model_that_crashes_fails_with_the_runtimes_words(bundle):
    path = bundle / "model" / "segment_0.onnx"
    model = onnx.load(path)
    model.graph.node[1].CopyFrom(helper.make_node("Flatten", ["float"], ["flat"], axis=3))
    path.write_bytes(model.SerializeToString())
    seal(bundle, "model/segment_0.onnx")
    row = verify(bundle).rows[-1]
    assert (row.what, row.verdict) == ("runtime", "fails")
    assert row.found.startswith("the model does not run: ")


def test_verify_model_that_hangs_is_ended(bundle, monkeypatch):
    monkeypatch.setattr(probing, "DEADLINES_S", {"": 60.0, "accuracy": 0.0})
    row = verify(bundle, is_quick=True).rows[-1]
    assert (row.what, row.verdict) == ("runtime", "fails")
    assert "no answer in phase 'accuracy'" in row.found


def test_verify_wrong_numbers_fail_and_other_packages_are_told(bundle):
    def boast(facts) -> None:
        facts["metrics"]["accuracy"] = {"value": 0.999, "low": 0.99, "high": 1.0, "n": 200}
        facts["metrics"]["artifact_size_mib"]["value"] /= 2
        facts["metrics"]["peak_memory_mib"]["value"] = 1.0
        facts["test_accuracy"] = {"value": None, "why": "nobody measured it"}
        facts["execution"]["packages"]["onnxruntime"] = "0.1"

    change_manifest(bundle, boast)
    report = verify(bundle)
    assert verdicts(report) == {
        **dict.fromkeys(PROMISES, "holds"),
        "artifact_size_mib": "fails",
        "packages": "not comparable",
        "accuracy": "fails",
        "test accuracy": "not checked",
        "latency_ms": "not comparable",
        "latency_mean_ms": "not comparable",
        "peak_memory_mib": "not comparable",
    }


def test_verify_without_the_data_measures_on_the_samples(bundle):
    change_manifest(bundle, lambda facts: facts["provenance"]["data"].update(fingerprint="0" * 64))
    report = verify(bundle)
    assert verdicts(report) == {
        **dict.fromkeys(PROMISES, "holds"),
        "accuracy": "not checked",
        "test accuracy": "not checked",
    }


def test_verify_on_another_device_fails_nothing_for_being_slower(bundle):
    def move(facts) -> None:
        facts["provenance"]["device"]["processor"] = "Abacus 9000"
        facts["metrics"]["latency_ms"] = {"value": 1e-6, "low": 1e-6, "high": 1e-6, "n": 200}

    change_manifest(bundle, move)
    report = verify(bundle)
    assert report.verdict == "holds"
    assert verdicts(report)["device"] == verdicts(report)["latency_ms"] == "not comparable"


def test_verify_missing_runtime_is_said_and_not_a_failure_of_the_bundle(bundle, monkeypatch):
    monkeypatch.setattr(OnnxRuntime, "missing", lambda self: "onnxruntime needs onnxruntime: pip install onnxruntime")
    with pytest.raises(RuntimeNotAvailable, match="its model cannot be executed here: onnxruntime needs"):
        verify(bundle)


def test_verify_no_bundle_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no bundle at"):
        verify(tmp_path / "nowhere")
