"""Quantize ONNX models with ONNX Runtime, and count the layers that it then executes in int8."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.runtimes.int8_range import LARGEST, REDUCED, Int8Range
from explorer.runtimes.runtime import ExportFailed, SegmentFile
from explorer.runtimes.staged import Array
from explorer.runtimes.untrusted.onnx_model import messages
from explorer.system.files import write_bytes

if TYPE_CHECKING:
    import onnx

CALIBRATION_BATCH = 32
_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
_INT8_OPERATORS = frozenset(
    {
        "QLinearConv", "QLinearMatMul", "QGemm",
        "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
    }
)  # fmt: skip


@contextmanager
def silenced() -> Iterator[None]:
    """Silence the exporter's and the quantizers' warnings, so that the builder's log holds only this program's."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def quantized(
    model: onnx.ModelProto, quantization: str, features: Array, folder: Path, int8_range: Int8Range
) -> onnx.ModelProto:
    """Quantize a model, calibrated on `features` [n, ...]; the quantizers' temporary files go to `folder`.

    Raises OSError when the disk is full, ExportFailed for weights outside of `int8_range`.
    """
    import onnx
    from onnxruntime import quantization as ort

    if quantization == "none":
        return model
    with tempfile.TemporaryDirectory(dir=folder) as place, _temporary_files_in(place), silenced():
        names = ("float", "optimized", "prepared", "int8")
        source, optimized, with_shapes, target = (Path(place, f"{name}.onnx") for name in names)
        onnx.save(model, source)  # given the model itself, the pre-processor would move its weights to another file
        _optimize(source, optimized)
        ort.quant_pre_process(optimized, with_shapes, skip_symbolic_shape=True, skip_optimization=True)
        prepared = onnx.load(with_shapes)
        if quantization == "dynamic_int8":
            # The quantizer transposes weights, and then refuses the shapes that pre-processing noted for them.
            prepared.graph.ClearField("value_info")
            ort.quantize_dynamic(prepared, target, weight_type=ort.QuantType.QUInt8)
        elif quantization == "static_int8":
            ort.quantize_static(
                prepared,
                target,
                _Calibration(prepared.graph.input[0].name, features),
                quant_format=ort.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=int8_range == REDUCED,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                nodes_to_exclude=_normalization(prepared),
                # Logits stay float32: 256 steps would blur the confidence that decides an early exit.
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            )
        else:
            raise ExportFailed("unsupported quantization", f"onnxruntime cannot quantize with {quantization!r}")
        made = onnx.load(target)
        largest = largest_int8_weight(target.read_bytes()) if quantization == "static_int8" else 0
        if largest > LARGEST[int8_range]:
            reason = f"expected int8 weights of {int8_range}, up to {LARGEST[int8_range]}, got {largest}"
            raise ExportFailed("int8 weights out of range", reason)
        return made


@contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Make the quantizers create their folders in `folder`, where they are removed even if this process is killed."""
    usual, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = usual


def _optimize(source: Path, target: Path) -> None:
    """Write `source` to `target` with ORT's basic optimizations, as its pre-processor would.

    The pre-processor ignores a failure of these, so that a full disk would change the artifact. Raises OSError.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    except Exception:  # "Protobuf serialization failed", and others that do not say why
        target.write_bytes(source.read_bytes())  # raises OSError if the disk is the cause
        raise


class _Calibration:
    """The calibration features in batches; implements ORT's CalibrationDataReader."""

    def __init__(self, name: str, features: Array) -> None:
        starts = range(0, len(features), CALIBRATION_BATCH)
        self._batches = iter([{name: features[start : start + CALIBRATION_BATCH]} for start in starts])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)


def _normalization(model: onnx.ModelProto) -> list[str]:
    """Return the nodes before the first layer: raw pixels have 256 levels already, and requantizing loses some."""
    names = []
    for node in model.graph.node:
        if node.op_type in _LAYERS:
            break
        names.append(node.name)
    return names


def segment_file(model: onnx.ModelProto, file: Path) -> SegmentFile:
    """Compare a float32 `model` with the graph that ONNX Runtime makes of `file`, its quantized form.

    The executed graph counts: a quantized node that the runtime did not fuse is float32.
    """
    macs = _macs(model)
    int8 = {_origin(name, macs) for name in _executed_int8(file)} - {None}
    total = sum(macs.values())
    in_int8 = sum(count for name, count in macs.items() if name in int8)
    return SegmentFile(file.name, len(macs), len(int8), in_int8 / total if total else 0.0)


def largest_int8_weight(content: bytes) -> int:
    """Return the largest magnitude of an int8 tensor with at least two dimensions in an ONNX file; 0 without one.

    `content` is a file that `untrusted.onnx_model` accepts.
    """
    import onnx

    largest = 0
    for one in messages(onnx.ModelProto.FromString(content)):
        if isinstance(one, onnx.TensorProto) and one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1:
            values = np.frombuffer(one.raw_data, dtype=np.int8) if one.raw_data else np.array(one.int32_data)
            largest = max(largest, int(abs(values.astype(np.int64)).max(initial=0)))
    return largest


def _origin(name: str, macs: dict[str, int]) -> str | None:
    """Return the layer that an executed node came from: quantizer and runtime append to its name."""
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
    """Return the multiply-accumulates of one input in each layer, by the node's name."""
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
