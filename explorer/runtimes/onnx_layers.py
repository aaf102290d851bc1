"""Which layers ONNX Runtime really executes in int8, and the share of the MACs that they carry."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.files import write_bytes

if TYPE_CHECKING:
    import onnx

_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
_INT8_OPERATORS = frozenset(
    {
        "QLinearConv", "QLinearMatMul", "QGemm",
        "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Int8Layers:
    """Of `n_layers` convolutions and matrix products, `n_int8_layers` run in int8 with `int8_mac_share` of the MACs."""

    n_layers: int
    n_int8_layers: int
    int8_mac_share: float


def count_int8_layers(model: onnx.ModelProto, file: Path) -> Int8Layers:
    """Compare a float32 `model` with the graph that ONNX Runtime makes of `file`, its quantized form.

    The runtime is asked for the graph that it executes: a quantized node that it did not fuse counts as float32.
    """
    macs = _macs(model)
    int8 = {_origin(name, macs) for name in _executed_int8(file)} - {None}
    total = sum(macs.values())
    return Int8Layers(
        len(macs), len(int8), sum(count for name, count in macs.items() if name in int8) / total if total else 0.0
    )


def _origin(name: str, macs: dict[str, int]) -> str | None:
    """The layer that an executed node came from: quantizer and runtime append to its name."""
    matches = [layer for layer in macs if name == layer or name.startswith(f"{layer}_")]
    return max(matches, key=len, default=None)


def _executed_int8(file: Path) -> list[str]:
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory(dir=file.parent) as place:
        executed = Path(place, "executed.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(executed)
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception:
            # It does not say that the disk is full; the disk does, when as much again is to be written.
            write_bytes(executed, bytes(2 * file.stat().st_size))
            raise
        graph = onnx.load(executed).graph
    return [node.name for node in graph.node if node.op_type in _INT8_OPERATORS]


def _macs(model: onnx.ModelProto) -> dict[str, int]:
    """Multiply-accumulates of one image in each layer, by the node's name."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*inferred.value_info, *inferred.output, *inferred.input]
    }
    weights = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    counts = {}
    for node in inferred.node:
        if node.op_type in _LAYERS and node.input[1] in weights:
            positions = shapes[node.output[0]][2:] if node.op_type == "Conv" else [1]
            counts[node.name] = int(np.prod(weights[node.input[1]]) * np.prod(positions))
    return counts
