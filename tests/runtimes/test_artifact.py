"""Artifacts on the disk: read, verified, stored once, and the exports that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from explorer.errors import RuntimeNotAvailable
from explorer.models.network import Normalize, StagedNetwork
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact, ArtifactFacts, artifact_key, export_model, store_artifact
from explorer.runtimes.int8_range import FULL, REDUCED, Int8Range
from explorer.runtimes.onnxruntime import OnnxRuntime
from explorer.runtimes.runtime import RUNTIMES, ExportFailed, ExportJob
from explorer.system.hashing import file_sha256
from explorer.tasks.task import TensorSpec

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 3, 8, 8), dtype=np.uint8)
ONNX = Variant(runtime="onnxruntime")
COUNTS = (10, (0.5,))  # parameters, and multiply-accumulates of the segment


def job(*layers: nn.Module, quantization: str = "none", scratch: Path, int8_range: Int8Range = FULL) -> ExportJob:
    network = StagedNetwork([nn.Sequential(Normalize([128.0] * 3, [64.0] * 3), *layers)]).eval()
    return ExportJob(network, False, quantization, IMAGES, scratch, int8_range)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    export_model(job(nn.Flatten(), nn.Linear(192, 4), scratch=tmp_path / "scratch"), *COUNTS, "onnxruntime", folder)
    return folder


def test_store_artifact_twice_copies_once_and_keeps_the_bytes(tmp_path, exported):
    first = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    written = (first.folder / "segment_0.onnx").stat().st_mtime_ns
    second = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    assert second.id == first.id == first.folder.name == artifact_key("key", ONNX)
    assert (second.folder / "segment_0.onnx").stat().st_mtime_ns == written
    assert (first.folder / "segment_0.onnx").read_bytes() == (exported / "segment_0.onnx").read_bytes()
    assert first.damaged_files() == []
    assert first.facts.input == TensorSpec("inputs", "uint8", (3, 8, 8))


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
def test_export_leaves_torch_its_threads(tmp_path, runtime):
    """The builder goes on to train: it was on one thread from the first eager artifact on."""
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        export_model(job(nn.Flatten(), nn.Linear(192, 4), scratch=tmp_path / "scratch"), *COUNTS, runtime, tmp_path)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_store_artifact_damaged_copy_is_made_again(tmp_path, exported):
    stored = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    file = stored.folder / "segment_0.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert stored.damaged_files() == ["segment_0.onnx"]
    again = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    assert again.damaged_files() == []


def test_read_other_format_is_refused(tmp_path, exported):
    stored = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    file = stored.folder / "artifact.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(ValueError, match="format 99, expected 2"):
        Artifact.read(stored.folder)


def test_export_nothing_to_quantize_is_refused(tmp_path):
    with pytest.raises(ExportFailed, match="left all 0 layers in float32") as refused:
        export_model(
            job(nn.AvgPool2d(8), nn.Flatten(), quantization="static_int8", scratch=tmp_path),
            *COUNTS,
            "onnxruntime",
            tmp_path,
        )
    assert refused.value.kind == "nothing quantized"


@pytest.mark.parametrize(
    ("quantization", "asked", "stated"),
    [
        ("static_int8", FULL, FULL),
        ("static_int8", REDUCED, REDUCED),
        ("dynamic_int8", REDUCED, None),
        ("none", REDUCED, None),
    ],
)
def test_export_states_the_range_of_int8_weights_where_it_matters(tmp_path, quantization, asked, stated):
    layers = (nn.Flatten(), nn.Linear(192, 4))
    made = job(*layers, quantization=quantization, scratch=tmp_path / "scratch", int8_range=asked)
    export_model(made, *COUNTS, "onnxruntime", tmp_path)
    artifact = store_artifact(tmp_path, "key", ONNX.replaced(quantization=quantization), tmp_path / "artifacts")
    assert artifact.facts.int8_range == stated
    assert Artifact.read(artifact.folder).facts == artifact.facts


@pytest.mark.parametrize("stated", ["wide", 7, ["full range"]])
def test_read_another_range_of_int8_weights_is_refused(tmp_path, exported, stated):
    stored = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    file = stored.folder / "artifact.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "int8_range": stated}))
    with pytest.raises(ValueError, match="expected null, full range or reduced range"):
        Artifact.read(stored.folder)


def test_export_not_a_number_is_refused(tmp_path):
    linear = nn.Linear(192, 4)
    with torch.no_grad():
        linear.weight.fill_(float("nan"))
    with pytest.raises(ExportFailed, match="not finite"):
        export_model(job(nn.Flatten(), linear, scratch=tmp_path), *COUNTS, "onnxruntime", tmp_path)


def test_export_differing_logits_are_refused(tmp_path):
    """A network whose exported program computes something else: it looks whether it is being exported."""

    class Fickle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(192, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.linear(x)
            return y if torch.compiler.is_compiling() else y + 1

    with pytest.raises(ExportFailed, match="differ from the network's by") as refused:
        export_model(job(nn.Flatten(), Fickle(), scratch=tmp_path), *COUNTS, "eager", tmp_path)
    assert refused.value.kind == "export mismatch"


@pytest.fixture
def planted(tmp_path, exported) -> Path:
    """A stored artifact with a stranger's segment, whose hash artifact.json states as a stranger would."""
    stored = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    model = onnx.load(stored.folder / "segment_0.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    (stored.folder / "segment_0.onnx").write_bytes(model.SerializeToString())
    facts = json.loads((stored.folder / "artifact.json").read_text())
    facts["segments"][0]["sha256"] = file_sha256(stored.folder / "segment_0.onnx")
    (stored.folder / "artifact.json").write_text(json.dumps(facts))
    assert Artifact.read(stored.folder).damaged_files() == []
    return stored.folder


def test_store_artifact_unsafe_copy_of_a_stranger_is_replaced(tmp_path, exported, planted):
    stored = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    assert stored.folder == planted
    assert (planted / "segment_0.onnx").read_bytes() == (exported / "segment_0.onnx").read_bytes()


def test_store_artifact_safe_copy_with_other_bytes_is_kept(tmp_path, exported):
    """Exported again, a network may give other bytes: what was measured stays."""
    stored = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    before = (stored.folder / "segment_0.onnx").read_bytes()
    model = onnx.load(exported / "segment_0.onnx")
    model.producer_version = "another"
    onnx.save(model, exported / "segment_0.onnx")
    facts = json.loads((exported / "model.json").read_text())
    facts["segments"][0]["sha256"] = file_sha256(exported / "segment_0.onnx")
    (exported / "model.json").write_text(json.dumps(facts))
    again = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    assert (again.folder / "segment_0.onnx").read_bytes() == before


def test_store_artifact_with_a_description_that_does_not_read_is_made_again(tmp_path, exported):
    stored = store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    (stored.folder / "artifact.json").write_text("[]")
    store_artifact(exported, "key", ONNX, tmp_path / "artifacts")
    assert Artifact.read(stored.folder).facts == stored.facts


@pytest.fixture
def stored(tmp_path, exported) -> Artifact:
    return store_artifact(exported, "key", ONNX, tmp_path / "artifacts")


def with_facts(artifact: Artifact, **changes: object) -> Artifact:
    """The artifact after its description was changed, as it reads."""
    path = artifact.folder / "artifact.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return Artifact.read(artifact.folder)


def test_read_gives_what_was_written(stored):
    assert Artifact.read(stored.folder).facts == stored.facts
    assert ArtifactFacts.from_json(json.loads(json.dumps(stored.facts.to_json()))) == stored.facts


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"surplus": 1}, "surplus: expected id, runtime"),
        ({"n_parameters": True}, "n_parameters is 'True': expected a value of type int"),
        ({"n_parameters": -1}, "n_parameters is '-1': expected a number from 0"),
        ({"exit_threshold": 1.5}, "exit_threshold is '1.5': expected a number from 0 to 1"),
        ({"max_logit_difference": float("nan")}, "max_logit_difference is 'nan'"),
        ({"trust": "blind"}, "trust is 'blind': expected checked or native"),
        ({"id": None}, "id is 'None': expected a value of type str"),
        ({"input": {"name": "images", "dtype": "object", "shape": [1]}}, "expected a name and one of uint8"),
        ({"input": {"name": "images", "dtype": "uint8", "shape": [0]}}, "expected the shape of a tensor"),
        ({"input": []}, "expected a tensor's name, dtype and shape"),
        ({"segments": []}, "segments: expected a list of 1 to 1,000"),
        ({"segments": [3]}, r"segments\.0 has 3: expected file, sha256"),
    ],
)
def test_read_anything_else_is_refused_with_the_field(stored, changes, match):
    with pytest.raises(ValueError, match=f"artifact.json does not describe an artifact: .*{match}"):
        with_facts(stored, **changes)


@pytest.mark.parametrize("name", ["../segment_0.pt2", "/etc/passwd", "..", "", "a\nb", "a/b"])
def test_read_name_that_leads_elsewhere_is_refused(stored, name):
    segment = json.loads((stored.folder / "artifact.json").read_text())["segments"][0]
    with pytest.raises(ValueError, match="expected the name of a file in this folder"):
        with_facts(stored, segments=[{**segment, "file": name}])


def test_unsafe_files_of_what_this_program_wrote_are_none(stored):
    assert stored.unsafe_files() == []


def test_unsafe_files_of_another_runtimes_format_are_named_with_the_reason(stored):
    (found,) = with_facts(stored, runtime="eager").unsafe_files()
    assert found.startswith("'segment_0.onnx' is not an archive")


def test_unsafe_files_of_a_runtime_of_nobody_cannot_be_told(stored):
    with pytest.raises(RuntimeNotAvailable, match="'abacus' is not registered"):
        with_facts(stored, runtime="abacus").unsafe_files()


def test_unsafe_files_that_are_native_are_safe_only_if_they_are_signed(stored, monkeypatch):
    monkeypatch.setattr(OnnxRuntime, "trust", "native")
    native = with_facts(stored, trust="native")
    assert native.unsafe_files() == ["'segment_0.onnx' is a shared library, and no named signer signed it"]
    assert native.unsafe_files(is_signed=True) == []


def test_unsafe_files_with_the_trust_of_another_runtime_are_refused(stored):
    (found,) = with_facts(stored, trust="native").unsafe_files(is_signed=True)
    assert found.startswith("'segment_0.onnx' is of a runtime whose trust is 'checked'")
