"""What ONNX Runtime executes, asked of its own graph."""

from __future__ import annotations

import errno
import resource

import onnx
import pytest
from onnx import TensorProto, helper

from explorer.runtimes.onnx_layers import count_int8_layers


def test_count_graph_that_the_disk_does_not_hold_is_said_as_the_disk_says_it(tmp_path):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 2]) for name in ("in", "out")]
    graph = helper.make_graph([helper.make_node("Add", ["in", "in"], ["out"])], "g", [ends[0]], [ends[1]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, unlimited[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            count_int8_layers(model, tmp_path / "model.onnx")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert refused.value.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert count_int8_layers(model, tmp_path / "model.onnx").n_layers == 0
