"""A session of ONNX Runtime: on the provider that was asked for, or an error that says where else."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from explorer.runtimes.onnxruntime_loading import session_of


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
