"""A session of ONNX Runtime: on the provider that was asked for, or an error that says where else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from explorer.disk_errors import DISK_FULL
from explorer.runtimes import onnxruntime as ours
from explorer.runtimes.onnxruntime import session_of


@pytest.fixture
def doubling():
    """A model [b, 2] -> [b, 2] that doubles."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 2]) for name in ("in", "out")]
    graph = helper.make_graph([helper.make_node("Add", ["in", "in"], ["out"])], "g", [ends[0]], [ends[1]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_session_of_a_model_computes_it(doubling):
    (found,) = session_of(doubling, 1)(np.array([[1.0, 2.0]], dtype=np.float32))
    assert found.tolist() == [[2.0, 4.0]]


def test_session_on_another_provider_is_an_error_that_names_it(doubling, monkeypatch):
    elsewhere = ["XnnpackExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda self: elsewhere)
    with pytest.raises(RuntimeError, match=r"uses \['XnnpackExecutionProvider', .*not the CPUExecutionProvider"):
        session_of(doubling, 1)


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
    ours._optimize(source, optimized)
    quantization.quant_pre_process(optimized, made, skip_symbolic_shape=True, skip_optimization=True)
    assert made.read_bytes() == theirs.read_bytes()
    assert b"add" not in made.read_bytes()  # the addition became the convolution's bias


def test_optimize_on_a_full_disk_says_so(convolution, tmp_path):
    source = tmp_path / "source.onnx"
    source.write_bytes(convolution.SerializeToString())
    with pytest.raises(OSError, match="No space left") as refused:
        ours._optimize(source, Path("/dev/full"))
    assert refused.value.errno in DISK_FULL


@pytest.mark.parametrize("kind", ["dynamic_int8", "static_int8"])
def test_quantized_puts_no_file_elsewhere_than_it_is_told(convolution, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    (tmp_path / "folder").mkdir()
    images = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    made = ours._quantized(convolution, kind, images, tmp_path / "folder")
    assert any("Integer" in node.op_type or node.op_type.startswith("Quantize") for node in made.graph.node)
    assert list((tmp_path / "folder").iterdir()) == []
    assert tempfile.tempdir == str(tmp_path / "missing")
