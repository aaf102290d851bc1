"""Artifacts on the disk: read, verified, stored once, and the exports that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from explorer.hashing import file_sha256
from explorer.models.network import Normalize, StagedNetwork
from explorer.runtimes.artifact import Artifact, NetworkFacts, artifact_key, export_model, store_artifact
from explorer.runtimes.registry import RUNTIMES
from explorer.runtimes.runtime import ExportFailed, ExportJob

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 3, 8, 8), dtype=np.uint8)
FACTS = NetworkFacts(n_parameters=10, mega_macs=(0.5,))


def job(*layers: nn.Module, quantization: str = "none", scratch: Path) -> ExportJob:
    network = StagedNetwork([nn.Sequential(Normalize([128.0] * 3, [64.0] * 3), *layers)]).eval()
    return ExportJob(network, False, quantization, IMAGES, scratch)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    export_model(job(nn.Flatten(), nn.Linear(192, 4), scratch=tmp_path / "scratch"), FACTS, "onnxruntime", folder)
    return folder


def test_store_artifact_twice_copies_once_and_keeps_the_bytes(tmp_path, exported):
    first = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    written = (first.folder / "segment_0.onnx").stat().st_mtime_ns
    second = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    assert second.id == first.id == first.folder.name == artifact_key("key", 1.0)
    assert (second.folder / "segment_0.onnx").stat().st_mtime_ns == written
    assert (first.folder / "segment_0.onnx").read_bytes() == (exported / "segment_0.onnx").read_bytes()
    assert first.damaged_files() == []
    assert first.facts["input"] == {"name": "images", "dtype": "uint8", "shape": [3, 8, 8]}


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
def test_export_leaves_torch_its_threads(tmp_path, runtime):
    """The builder goes on to train: it was on one thread from the first eager artifact on."""
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        export_model(job(nn.Flatten(), nn.Linear(192, 4), scratch=tmp_path / "scratch"), FACTS, runtime, tmp_path)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_store_artifact_damaged_copy_is_made_again(tmp_path, exported):
    stored = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    file = stored.folder / "segment_0.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert stored.damaged_files() == ["segment_0.onnx"]
    again = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    assert again.damaged_files() == []


def test_read_other_format_is_refused(tmp_path, exported):
    stored = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    file = stored.folder / "artifact.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(ValueError, match="format 99, expected 1"):
        Artifact.read(stored.folder)


def test_export_nothing_to_quantize_is_refused(tmp_path):
    with pytest.raises(ExportFailed, match="left all 0 layers in float32") as refused:
        export_model(
            job(nn.AvgPool2d(8), nn.Flatten(), quantization="static_int8", scratch=tmp_path),
            FACTS,
            "onnxruntime",
            tmp_path,
        )
    assert refused.value.kind == "nothing quantized"


def test_export_not_a_number_is_refused(tmp_path):
    linear = nn.Linear(192, 4)
    with torch.no_grad():
        linear.weight.fill_(float("nan"))
    with pytest.raises(ExportFailed, match="not finite"):
        export_model(job(nn.Flatten(), linear, scratch=tmp_path), FACTS, "onnxruntime", tmp_path)


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
        export_model(job(nn.Flatten(), Fickle(), scratch=tmp_path), FACTS, "eager", tmp_path)
    assert refused.value.kind == "export mismatch"


@pytest.fixture
def planted(tmp_path, exported) -> Path:
    """A stored artifact with a stranger's segment, whose hash artifact.json states as a stranger would."""
    stored = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
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
    stored = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    assert stored.folder == planted
    assert (planted / "segment_0.onnx").read_bytes() == (exported / "segment_0.onnx").read_bytes()


def test_store_artifact_safe_copy_with_other_bytes_is_kept(tmp_path, exported):
    """Exported again, a network may give other bytes: what was measured stays."""
    stored = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    before = (stored.folder / "segment_0.onnx").read_bytes()
    model = onnx.load(exported / "segment_0.onnx")
    model.producer_version = "another"
    onnx.save(model, exported / "segment_0.onnx")
    facts = json.loads((exported / "model.json").read_text())
    facts["segments"][0]["sha256"] = file_sha256(exported / "segment_0.onnx")
    (exported / "model.json").write_text(json.dumps(facts))
    again = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    assert (again.folder / "segment_0.onnx").read_bytes() == before


def test_store_artifact_with_a_description_that_does_not_read_is_made_again(tmp_path, exported):
    stored = store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    (stored.folder / "artifact.json").write_text("[]")
    store_artifact(exported, "key", "onnxruntime", "none", 1.0, tmp_path / "artifacts")
    assert Artifact.read(stored.folder).facts == stored.facts
