"""Quantized weights and temporary files, and what ONNX Runtime executes in int8 by its own graph."""

from __future__ import annotations

import errno
import resource
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from explorer.runtimes.int8_range import FULL, LARGEST, REDUCED
from explorer.runtimes.onnx_quantization import _optimize, largest_int8_weight, quantized, segment_file
from explorer.runtimes.runtime import ExportFailed
from explorer.system.disk_errors import DISK_FULL


def test_count_graph_that_the_disk_does_not_hold_is_said_as_the_disk_says_it(tmp_path):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 2]) for name in ("in", "out")]
    graph = helper.make_graph([helper.make_node("Add", ["in", "in"], ["out"])], "g", [ends[0]], [ends[1]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            segment_file(model, tmp_path / "model.onnx")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert refused.value.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert segment_file(model, tmp_path / "model.onnx").n_layers == 0


@pytest.mark.parametrize("is_hidden", [False, True])
def test_largest_int8_weight_is_found_in_initializers_and_in_constants_but_no_bias_counts(is_hidden):
    weights, bias = (numpy_helper.from_array(np.array(value, dtype=np.int8)) for value in ([[-128, 3]], [99]))
    ends = [helper.make_tensor_value_info(name, TensorProto.INT8, [1, 2]) for name in ("in", "out")]
    node = (
        helper.make_node("Constant", [], ["out"], value=weights)
        if is_hidden
        else helper.make_node("Abs", ["in"], ["out"])
    )
    graph = helper.make_graph([node], "g", [ends[0]], [ends[1]], [bias] if is_hidden else [bias, weights])
    assert largest_int8_weight(helper.make_model(graph).SerializeToString()) == 128
    assert largest_int8_weight(b"") == 0


@pytest.fixture
def convolution():
    """A normalization, and a convolution with a bias of its own: what ORT's optimizations fold into one node."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(size=(1, 4, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "weights"], ["convolved"], "convolve"),
        helper.make_node("Add", ["convolved", "bias"], ["y"], "add"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None, None, None]) for name in "xy"]
    stored = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph(nodes, "convolution", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_optimize_then_pre_process_is_what_the_pre_processor_makes(convolution, tmp_path):
    source, theirs, optimized, made = (tmp_path / name for name in ("source", "theirs", "optimized", "made"))
    source.write_bytes(convolution.SerializeToString())
    quantization.quant_pre_process(source, theirs, skip_symbolic_shape=True)
    _optimize(source, optimized)
    quantization.quant_pre_process(optimized, made, skip_symbolic_shape=True, skip_optimization=True)
    assert made.read_bytes() == theirs.read_bytes()
    assert b"add" not in made.read_bytes()  # the addition became the convolution's bias


def test_optimize_on_a_full_disk_says_so(convolution, tmp_path):
    source = tmp_path / "source.onnx"
    source.write_bytes(convolution.SerializeToString())
    with pytest.raises(OSError, match="No space left") as refused:
        _optimize(source, Path("/dev/full"))
    assert refused.value.errno in DISK_FULL


@pytest.mark.parametrize("kind", ["dynamic_int8", "static_int8"])
def test_quantized_puts_no_file_elsewhere_than_it_is_told(convolution, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    (tmp_path / "folder").mkdir()
    images = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    made = quantized(convolution, kind, images, tmp_path / "folder", FULL)
    assert any("Integer" in node.op_type or node.op_type.startswith("Quantize") for node in made.graph.node)
    assert list((tmp_path / "folder").iterdir()) == []
    assert tempfile.tempdir == str(tmp_path / "missing")


@pytest.fixture
def layers():
    """A convolution, a matrix product, and a linear layer: [n, 3, 8, 8] -> [n, 5]."""
    rng = np.random.default_rng(0)
    shapes = {"kernel": (4, 3, 3, 3), "matrix": (4, 7), "weights": (5, 7), "bias": (5,)}
    stored = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), name) for name, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["convolved"], "convolve"),
        helper.make_node("GlobalAveragePool", ["convolved"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("MatMul", ["flat", "matrix"], ["mixed"], "mix"),
        helper.make_node("Gemm", ["mixed", "weights", "bias"], ["y"], "classify", transB=1),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5]),
    ]
    graph = helper.make_graph(nodes, "layers", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


IMAGES = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)


def int8_weights(model):
    tensors = [one for one in model.graph.initializer if one.data_type == TensorProto.INT8]
    return [array for array in map(numpy_helper.to_array, tensors) if array.ndim > 1]


@pytest.mark.parametrize("int8_range", [FULL, REDUCED])
def test_quantized_weights_of_every_layer_fill_the_range_and_stay_within_it(layers, int8_range, tmp_path):
    weights = int8_weights(quantized(layers, "static_int8", IMAGES, tmp_path, int8_range))
    assert len(weights) == 3
    assert [int(abs(array.astype(int)).max()) for array in weights] == [LARGEST[int8_range]] * 3


def test_quantized_to_another_range_than_asked_for_is_refused(layers, tmp_path, monkeypatch):
    usual = quantization.quantize_static
    monkeypatch.setattr(
        quantization, "quantize_static", lambda *given, **options: usual(*given, **{**options, "reduce_range": False})
    )
    with pytest.raises(ExportFailed, match="expected int8 weights of reduced range, up to 64, got 127") as refused:
        quantized(layers, "static_int8", IMAGES, tmp_path, REDUCED)
    assert refused.value.kind == "int8 weights out of range"
