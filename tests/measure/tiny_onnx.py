"""A hand-made ONNX model whose answers are known, and images that it gets right but for the last six."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from fakes import artifact_facts, segment
from onnx import TensorProto, helper

from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.system.hashing import file_sha256
from explorer.tasks.task import Examples

N_IMAGES, N_CLASSES = 60, 3
VARIANT = Variant(runtime="onnxruntime")


def model(*extra: onnx.NodeProto, output: str = "scores", early: bool = False) -> bytes:
    """Logits that are ten times the first three pixels of the first row: [b, 1, 2, 3] -> [b, 3]."""
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["float", "starts", "ends", "axes"], ["row"]),
        helper.make_node("Reshape", ["row", "shape"], ["pixels"]),
        helper.make_node("Mul", ["pixels", "ten"], ["scores"]),
        *extra,
    ]
    constants = {"starts": [0], "ends": [1], "axes": [2], "shape": [-1, N_CLASSES]}
    initializers = [helper.make_tensor(n, TensorProto.INT64, [len(v)], v) for n, v in constants.items()]
    initializers.append(helper.make_tensor("ten", TensorProto.FLOAT, [1], [10.0]))
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["b", N_CLASSES])]
    if early:
        outputs.append(helper.make_tensor_value_info("images", TensorProto.UINT8, ["b", 1, 2, 3]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["b", 1, 2, 3])
    graph = helper.make_graph(nodes, "g", [images], outputs, initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def write_artifact(folder: Path, content: bytes, **facts: Any) -> Artifact:
    """An artifact of one segment; `facts` are in its artifact.json."""
    folder.mkdir()
    (folder / "segment_0.onnx").write_bytes(content)
    one = segment("segment_0.onnx", file_sha256(folder / "segment_0.onnx"))
    (folder / "artifact.json").write_text(json.dumps(artifact_facts(one, **facts).to_json()))
    return Artifact.read(folder)


def write_validation(folder: Path) -> Examples:
    """Images whose brightest pixel of the first row is their class, but for the last six."""
    labels = np.arange(N_IMAGES) % N_CLASSES
    images = np.zeros((N_IMAGES, 1, 2, 3), dtype=np.uint8)
    images[np.arange(N_IMAGES), 0, 0, labels] = 1
    labels[-6:] = (labels[-6:] + 1) % N_CLASSES
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    return Examples(
        folder / "images.npy", folder / "labels.npy", "validation", "classification", {"classes": ["a", "b", "c"]}
    )
