"""ONNX Runtime: one ONNX file per segment; dynamic int8, and static int8 as QDQ with per-channel weights.

Static int8 multiplies uint8 activations with int8 weights, whose range depends on the processor (see int8_range).
Dynamic int8 multiplies them with uint8 weights in kernels that widen both to 16 bits on every processor, so nothing is
clipped. Models of one product, with which the processor's peak is measured, run in it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from explorer.runtimes import onnxruntime_loading
from explorer.runtimes.int8_range import LARGEST, REDUCED
from explorer.runtimes.onnx_quantization import (
    CALIBRATION_BATCH,
    largest_int8_weight,
    quantized,
    segment_file,
    silenced,
)
from explorer.runtimes.onnxruntime_loading import session_of
from explorer.runtimes.runtime import ExportJob, Runtime, SegmentFile
from explorer.runtimes.staged import Array
from explorer.system.files import write_bytes

if TYPE_CHECKING:
    import onnx

_LEFT, _PRODUCT = "left", "product"


class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"
    packages = ("onnxruntime",)
    modules = ("onnxruntime",)
    oldest = MappingProxyType({"onnx": (1, 21)})  # it fixes CVE-2026-27489, CVE-2026-34445 and CVE-2026-28500
    quantizations = frozenset({"none", "dynamic_int8", "static_int8"})
    provider = "CPUExecutionProvider"
    exporters = ("torch", "onnx", "onnxscript")
    suffix = ".onnx"
    trust = "checked"
    loading = onnxruntime_loading

    def is_batch_invariant(self, quantization: str) -> bool:
        """Return False for dynamic int8, whose activation scale is that of the whole batch."""
        return quantization != "dynamic_int8"

    def saturates(self, quantization: str) -> bool:
        """Return True for static int8: uint8 activations times int8 weights."""
        return quantization == "static_int8"

    def largest_int8_weight(self, files: Sequence[Path]) -> int:
        """Read the largest weight from whole files, which must be safe to parse."""
        return max((largest_int8_weight(file.read_bytes()) for file in files), default=0)

    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """Write one .onnx file per segment, without external data."""
        import onnx

        floats = _float_segments(job)
        features = job.calibration
        written = []
        for index, model in enumerate(floats):
            file = self.segment_name(index)
            onnx.save(quantized(model, job.quantization, features, folder, job.int8_range), folder / file)
            written.append(segment_file(model, folder / file))
            if index < len(floats) - 1 and job.quantization == "static_int8":
                features = _features(model, features)
        return tuple(written)

    def check(self, content: bytes) -> None:
        """Accept only a model of known operators with all its weights inside. Raises UnsafeFile."""
        from explorer.runtimes.untrusted.onnx_model import check_onnx

        check_onnx(content)


def _float_segments(job: ExportJob) -> list[onnx.ModelProto]:
    """Export the network once, with the features between its segments as outputs, and cut the graph into segments.

    The export takes seconds and the cuts milliseconds, so the whole graph is stored for the network's other artifacts.
    """
    import onnx
    from onnx.utils import Extractor

    last = len(job.network.segments) - 1
    features = [f"features_{index}" for index in range(last)]
    whole = job.scratch / "network.onnx"
    if not whole.is_file():
        outputs = [name for index in range(last) for name in (f"logits_{index}", features[index])]
        model = _exported(job, [*outputs, f"logits_{last}"])
        write_bytes(whole, model.SerializeToString())
    extractor = Extractor(onnx.load(whole))
    if not job.has_exits:
        return [extractor.extract_model([job.input_name], [f"logits_{last}"])]
    taps = [job.input_name, *features, f"logits_{last}"]
    return [
        extractor.extract_model([start], [f"logits_{index}", end] if index < last else [end])
        for index, (start, end) in enumerate(pairwise(taps))
    ]


def _exported(job: ExportJob, outputs: list[str]) -> onnx.ModelProto:
    import torch
    from torch import nn

    network = job.network

    class Tapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
            made: list[torch.Tensor] = []
            for segment in self.network.segments[:-1]:
                logits, features = segment(features)
                made += [logits, features]
            return (*made, self.network.segments[-1](features))

    with torch.no_grad(), silenced():
        program = torch.onnx.export(
            Tapped().eval(),
            (torch.from_numpy(job.calibration[:2].copy()),),
            input_names=[job.input_name],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return _without_notes(program.model_proto)


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's metadata from the model: file and line on this machine of each node's call."""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, model.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def _features(model: onnx.ModelProto, features: Array) -> Array:
    """Return the segment's float32 features, with which the next one is calibrated."""
    segment = session_of(model.SerializeToString(), 1)
    starts = range(0, len(features), CALIBRATION_BATCH)
    return np.concatenate([segment(features[start : start + CALIBRATION_BATCH])[1] for start in starts])


def float32_product(size: int) -> bytes:
    """Return a model of float32 [size, size] times a constant of the same shape."""
    from onnx import TensorProto, helper

    weights = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    node = helper.make_node("MatMul", [_LEFT, "right"], [_PRODUCT])
    return _of_one_node(node, TensorProto.FLOAT, size, {"right": weights})


def int8_product(size: int) -> bytes:
    """Return a model of uint8 [size, size] times constant int8, requantized to uint8, as in static int8 layers.

    ONNX Runtime runs those layers as QLinearConv, with the same product and requantization as QLinearMatMul. The
    weights are of reduced range, so that no processor's kernel saturates; the time is the same.
    """
    from onnx import TensorProto, helper

    largest = LARGEST[REDUCED]
    weights = np.random.default_rng(0).integers(-largest, largest + 1, (size, size)).astype(np.int8)
    zero_points = {"left_zero": np.uint8(128), "right_zero": np.int8(0), "product_zero": np.uint8(128)}
    # Sums of `size` products of uniform numbers (standard deviations 74 and 37) shall spread over uint8: 40 steps.
    scale_of_sums = 0.02 * 0.01 * 74.0 * 37.0 * size**0.5 / 40
    scales = {"left_scale": 0.02, "right_scale": 0.01, "product_scale": scale_of_sums}
    names = [_LEFT, "left_scale", "left_zero", "right", "right_scale", "right_zero", "product_scale", "product_zero"]
    constants = {"right": weights} | {name: np.asarray(value) for name, value in zero_points.items()}
    constants |= {name: np.asarray(value, dtype=np.float32) for name, value in scales.items()}
    return _of_one_node(helper.make_node("QLinearMatMul", names, [_PRODUCT]), TensorProto.UINT8, size, constants)


def _of_one_node(node: onnx.NodeProto, kind: int, size: int, constants: dict[str, Array]) -> bytes:
    """Return a model of one node whose input and output are [size, size] of the same type."""
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info(_LEFT, kind, [size, size])],
        [helper.make_tensor_value_info(_PRODUCT, kind, [size, size])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return content
