"""ONNX files of strangers: external data, operators from outside and impossible sizes, wherever they hide."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from explorer.runtimes.untrusted.files import UnsafeFile
from explorer.runtimes.untrusted.onnx_model import check_onnx


def tensor(name: str = "weights", location: str | None = None) -> TensorProto:
    """Four ones; with a location, in that file."""
    made = numpy_helper.from_array(np.ones(4, dtype=np.float32), name)
    if location is not None:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value=location)
    return made


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])


def graph(*nodes: onnx.NodeProto, name: str = "g") -> onnx.GraphProto:
    nodes = nodes or (helper.make_node("Relu", ["x"], ["y"]),)
    return helper.make_graph(list(nodes), name, [value("x")], [value("y")])


def model(made: onnx.GraphProto | None = None, **fields: object) -> onnx.ModelProto:
    return helper.make_model(made or graph(), opset_imports=[helper.make_opsetid("", 17)], **fields)


def refused(made: onnx.ModelProto, match: str) -> None:
    with pytest.raises(UnsafeFile, match=match):
        check_onnx(made.SerializeToString())


def in_initializer(hidden: TensorProto) -> onnx.ModelProto:
    made = model()
    made.graph.initializer.append(hidden)
    return made


def in_constant(hidden: TensorProto) -> onnx.ModelProto:
    return model(graph(helper.make_node("Constant", [], ["y"], value=hidden)))


def in_list_of_tensors(hidden: TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Relu", ["x"], ["y"])
    node.attribute.add(name="all", type=onnx.AttributeProto.TENSORS).tensors.append(hidden)
    return model(graph(node))


def in_subgraph(hidden: TensorProto) -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Relu", ["weights"], ["y"])], "inner", [], [value("y")], [hidden])
    nested = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([nested], "outer", [], [value("y")])
    return model(graph(helper.make_node("If", ["x"], ["y"], then_branch=outer, else_branch=outer)))


def in_function(hidden: TensorProto) -> onnx.ModelProto:
    body = [helper.make_node("Constant", [], ["y"], value=hidden)]
    function = helper.make_function("local", "f", ["x"], ["y"], body, [helper.make_opsetid("", 17)])
    return model(graph(helper.make_node("f", ["x"], ["y"], domain="local")), functions=[function])


def in_sparse_initializer(hidden: TensorProto) -> onnx.ModelProto:
    made = model()
    indices = numpy_helper.from_array(np.arange(4), "indices")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(hidden, indices, [4]))
    return made


def in_training(hidden: TensorProto) -> onnx.ModelProto:
    made = model()
    made.training_info.add().algorithm.initializer.append(hidden)
    return made


PLACES = [
    in_initializer, in_constant, in_list_of_tensors, in_subgraph, in_function, in_sparse_initializer, in_training,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_check_tensors_inside_pass(place):
    check_onnx(place(tensor()).SerializeToString())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "weights.bin"])
def test_check_external_data_are_refused(place, location):
    refused(place(tensor(location=location)), f"refers to external data: the tensor 'weights' lies in '{location}'")


@pytest.mark.parametrize("place", PLACES)
def test_check_external_data_without_a_location_are_refused(place):
    hidden = tensor()
    hidden.data_location = TensorProto.EXTERNAL
    refused(place(hidden), "refers to external data")


@pytest.mark.parametrize("place", PLACES)
def test_check_forgotten_location_is_refused(place):
    hidden = tensor()
    hidden.external_data.add(key="location", value="elsewhere")
    refused(place(hidden), "lies in 'elsewhere'")


@pytest.mark.parametrize("dims", [[2**40], [2**20, 2**20], [-1], [2**62, 4]])
@pytest.mark.parametrize("place", PLACES)
def test_check_size_that_the_file_cannot_hold_is_refused(place, dims):
    hidden = tensor()
    del hidden.dims[:]
    hidden.dims.extend(dims)
    refused(place(hidden), "declares the tensor 'weights' of")


def test_check_giant_sparse_tensor_is_refused():
    made = in_sparse_initializer(tensor())
    made.graph.sparse_initializer[0].dims[0] = 2**40
    refused(made, "declares a sparse tensor of")


@pytest.mark.parametrize(
    ("domain", "operator"),
    [("evil.ops", "Relu"), ("com.microsoft", "EPContext"), ("", "EPContext"), ("org.pytorch.aten", "ATen")],
)
def test_check_operator_from_outside_is_refused(domain, operator):
    node = helper.make_node(operator, ["x"], ["y"], domain=domain)
    refused(model(graph(node)), f"uses the operator '.*{operator}'")
    inner = graph(node, name="inner")
    refused(
        model(graph(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))), "uses the operator"
    )


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_check_known_domains_pass(domain):
    check_onnx(model(graph(helper.make_node("Gelu", ["x"], ["y"], domain=domain))).SerializeToString())


@pytest.mark.parametrize("content", [b"not a model", b"PK\3\4", b"\x3a\xff\xff\xff\xff\x0f"])
def test_check_other_bytes_are_refused(content):
    with pytest.raises(UnsafeFile, match="is not an ONNX model"):
        check_onnx(content)


def test_check_empty_file_is_refused():
    with pytest.raises(UnsafeFile, match="without a single operator"):
        check_onnx(b"")


def test_check_truncated_model_is_refused():
    content = in_initializer(tensor()).SerializeToString()
    with pytest.raises(UnsafeFile, match=r"is not an ONNX model|without a single operator"):
        check_onnx(content[: len(content) // 2])


def field(tag: int, content: bytes) -> bytes:
    """A message within a message, as protocol buffers write it."""
    length, n = bytearray(), len(content)
    while n > 127:
        length.append(n & 127 | 128)
        n >>= 7
    return bytes([tag << 3 | 2, *length, n]) + content


@pytest.mark.parametrize("depth", [40, 5000])
def test_check_nested_deeper_than_the_parser_allows_is_refused(depth):
    content = graph().SerializeToString()
    for _ in range(depth):
        content = field(1, field(5, field(6, content)))  # a graph in an attribute in a node
    with pytest.raises(UnsafeFile, match="is not an ONNX model"):
        check_onnx(field(7, content))
