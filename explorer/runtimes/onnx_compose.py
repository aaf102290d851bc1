"""One ONNX model of an artifact's segments, in which every early exit is an `If` node.

Whoever runs the model does what `explorer.runtimes.staged` does, at batch 1, without Python between the segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer import __version__
from explorer.runtimes.runtime import ExportFailed
from explorer.runtimes.staged import Array

if TYPE_CHECKING:
    import onnx

INPUT, LOGITS, EXIT = "images", "logits", "exit"
"""The names of a model with early exits: images [1, c, h, w] -> logits [1, k] of the exit taken, its index [1]."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a model: `dtype` in NumPy's words, None in `shape` for any length."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


def compose(segments: Sequence[Path], threshold: float, metadata: Mapping[str, str]) -> bytes:
    """The segments' files as one model without external data; `metadata` becomes its properties.

    One segment    its file's very bytes, then the properties: names, shapes and the dynamic batch are the segment's
    several        images [1, c, h, w] -> logits [1, k], exit [1]: an image leaves at the first exit whose confidence is
                   at least the threshold in (0, 1]; the weights of a later segment lie inside its `If` branch

    The confidence has the formula and the float32 of `staged.confidence`; two libraries' `exp` may differ in the last
    bits, so that a confidence within some 1e-7 of the threshold may be decided either way. Raises OSError, and
    ExportFailed when the segments make no model.
    """
    import onnx

    content = _joined(segments, threshold) + _properties(metadata)
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = f"the segments make no ONNX model: {' '.join(str(error).split())}"
        raise ExportFailed("export mismatch", reason) from error
    return content


def parsed(model: bytes) -> onnx.ModelProto:
    """The model as the onnx package has it."""
    import onnx

    return onnx.load_model_from_string(model)


def inputs_and_outputs(model: bytes) -> tuple[list[Tensor], list[Tensor]]:
    """The model's tensors, in its own order and names."""
    graph = parsed(model).graph
    return [_tensor(value) for value in graph.input], [_tensor(value) for value in graph.output]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return Tensor(value.name, tensor_dtype_to_np_dtype(kind.elem_type).name, shape)


def _joined(segments: Sequence[Path], threshold: float) -> bytes:
    """The one segment's file as it is, or several as one model without properties."""
    import onnx

    if len(segments) == 1:
        return segments[0].read_bytes()
    models = [onnx.load(file) for file in segments]
    graphs = _chained([model.graph for model in models])
    limit = threshold if threshold < 1.0 else float("inf")  # at 1.0 nothing leaves, not even a confidence of 1.0
    content: bytes = onnx.helper.make_model(
        _Stages(graphs, limit).graph(),
        ir_version=max(model.ir_version for model in models),
        opset_imports=_operator_sets(models),
        producer_name="pareto-explorer",
        producer_version=__version__,
    ).SerializeToString()
    return content


def _properties(metadata: Mapping[str, str]) -> bytes:
    """A model with properties alone. Appended to a model's bytes, it adds them: repeated fields are concatenated."""
    import onnx

    properties = onnx.ModelProto()
    onnx.helper.set_model_props(properties, dict(metadata))
    content: bytes = properties.SerializeToString()
    return content


def _operator_sets(models: Sequence[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    """The operators' versions, of the domains that a node uses: quantizers list some that no other runtime knows."""
    import onnx

    used = {node.domain for model in models for graph in _with_branches(model.graph) for node in graph.node}
    versions: dict[str, int] = {}
    for model in models:
        if model.functions:
            raise ExportFailed("unsupported model", "a segment has ONNX functions of its own, which cannot be composed")
        for entry in model.opset_import:
            known = versions.setdefault(entry.domain, entry.version)
            if entry.domain in used and known != entry.version:
                name = f"operators {entry.domain or 'ai.onnx'}"
                reason = f"expected one version of the {name} in all segments, got {known} and {entry.version}"
                raise ExportFailed("unsupported model", reason)
    return [onnx.helper.make_opsetid(domain, versions[domain]) for domain in sorted(used) if domain in versions]


def _with_branches(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _with_branches(inner)


def _chained(graphs: list[onnx.GraphProto]) -> list[onnx.GraphProto]:
    """Rename in place, so that all names differ, but a segment's input is called as what it gets."""
    carried = INPUT
    for index, graph in enumerate(graphs):
        names = {"": "", graph.input[0].name: carried}

        def renamed(name: str, names: dict[str, str] = names, index: int = index) -> str:
            return names.setdefault(name, f"segment_{index}/{name}")

        for inner in _with_branches(graph):
            _rename(inner, renamed)
        carried = graph.output[-1].name
    return graphs


def _rename(graph: onnx.GraphProto, renamed: Callable[[str], str]) -> None:
    """Every name of this graph, those inside its nodes not included; notes on the nodes and values are dropped.

    The exporter notes stack traces with the paths of the machine, and shapes with a dynamic batch.
    """
    for node in graph.node:
        node.name = renamed(node.name)
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = renamed(value.name)
    graph.ClearField("value_info")


class _Stages:
    """The segments as nested graphs: each ends with an `If` whose `else` holds the next.

    A segment's weights are its own graph's. When they were the outermost graph's, ONNX Runtime did not lay out the
    later segments' float32 convolutions in blocks, and a static int8 model took 1.4 to 2.4 times as long.
    """

    def __init__(self, graphs: Sequence[onnx.GraphProto], limit: float) -> None:
        self._graphs = graphs
        self._limit = np.float32(limit)  # NumPy, too, compares float32 with a Python float in float32

    def graph(self) -> onnx.GraphProto:
        """All of them, with the batch of 1 that an `If` can decide for."""
        from onnx import TensorProto, helper

        images = self._graphs[0].input[0].type.tensor_type
        shape = [1, *(dim.dim_value for dim in images.shape.dim[1:])]
        return self._stage(0, (LOGITS, EXIT), [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape)])

    def _stage(self, index: int, names: tuple[str, str], inputs: list[onnx.ValueInfoProto]) -> onnx.GraphProto:
        """Segment `index` and all after it; `names` are those of its outputs, the logits and the exit taken."""
        from onnx import helper

        segment = self._graphs[index]
        logits = segment.output[0].name
        nodes = list(segment.node)
        if index == len(self._graphs) - 1:
            nodes += _answer(logits, index, names)
        else:
            own = f"exit_{index}/"
            here, later = (f"{own}logits", f"{own}exit"), (f"{own}later_logits", f"{own}later_exit")
            leave = helper.make_graph(_answer(logits, index, here), f"leave_{index}", [], self._outputs(here))
            stay = self._stage(index + 1, later, [])
            nodes += _decision(logits, self._limit, own)
            nodes.append(
                helper.make_node("If", [f"{own}leaves"], names, f"{own}if", then_branch=leave, else_branch=stay)
            )
        return helper.make_graph(nodes, f"segment_{index}", inputs, self._outputs(names), segment.initializer)

    def _outputs(self, names: tuple[str, str]) -> list[onnx.ValueInfoProto]:
        from onnx import TensorProto, helper

        n_classes = self._graphs[0].output[0].type.tensor_type.shape.dim[1].dim_value
        return [
            helper.make_tensor_value_info(names[0], TensorProto.FLOAT, [1, n_classes]),
            helper.make_tensor_value_info(names[1], TensorProto.INT64, [1]),
        ]


def _answer(logits: str, index: int, names: tuple[str, str]) -> list[onnx.NodeProto]:
    """The image leaves at exit `index` with these logits."""
    from onnx import helper

    return [
        helper.make_node("Identity", [logits], [names[0]], f"{names[0]}_identity"),
        _constant(names[1], np.array([index], dtype=np.int64)),
    ]


def _decision(logits: str, limit: np.float32, own: str) -> list[onnx.NodeProto]:
    """`<own>leaves` [1]: whether `staged.confidence(logits)` is at least `limit`. `own` is a prefix for names."""
    from onnx import helper

    def step(operator: str, inputs: list[str], output: str, **attributes: int) -> onnx.NodeProto:
        return helper.make_node(operator, inputs, [f"{own}{output}"], f"{own}{output}", **attributes)

    return [
        _constant(f"{own}axis", np.array([-1], dtype=np.int64)),
        _constant(f"{own}one", np.array(1.0, dtype=np.float32)),
        _constant(f"{own}limit", np.array(limit)),
        step("ReduceMax", [logits, f"{own}axis"], "largest", keepdims=1),
        step("Sub", [logits, f"{own}largest"], "shifted"),
        step("Exp", [f"{own}shifted"], "exponentials"),
        step("ReduceSum", [f"{own}exponentials", f"{own}axis"], "sum", keepdims=0),
        step("Div", [f"{own}one", f"{own}sum"], "confidence"),
        step("GreaterOrEqual", [f"{own}confidence", f"{own}limit"], "leaves"),
    ]


def _constant(name: str, value: Array) -> onnx.NodeProto:
    from onnx import helper, numpy_helper

    return helper.make_node("Constant", [], [name], f"{name}_constant", value=numpy_helper.from_array(value))
