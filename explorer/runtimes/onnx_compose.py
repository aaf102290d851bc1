"""Compose an artifact's segments into one ONNX model, in which every early exit is an `If` node.

The model computes what `explorer.runtimes.staged` does at batch 1, without Python between the segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.runtimes.runtime import ExportFailed
from explorer.runtimes.staged import Array
from explorer.version import __version__

if TYPE_CHECKING:
    import onnx

LOGITS, EXIT = "logits", "exit"
"""Outputs of a model with early exits: logits [1, k] of the exit taken, and its index [1]."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a model: `dtype` as in NumPy, None in `shape` for a dynamic length."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


def compose(segments: Sequence[Path], threshold: float, metadata: Mapping[str, str]) -> bytes:
    """Return the segments' files as one model without external data; `metadata` becomes its properties.

    One segment:       its file, then the properties; names, shapes and the dynamic batch are the segment's.
    Several segments:  the first's input [1, ...] -> logits [1, k], exit [1]. An input leaves at the first exit whose
                       confidence is at least the threshold in (0, 1]. A later segment's weights are in its `If` branch.

    The confidence is that of `explorer.tasks.classification_files`, in float32. The `exp` of two libraries may differ
    in the last bits, so a confidence within about 1e-7 of the threshold may be decided either way. Raises OSError, and
    ExportFailed when the segments make no valid model.
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
    """Return the model as the onnx package reads it."""
    import onnx

    return onnx.load_model_from_string(model)


def inputs_and_outputs(model: bytes) -> tuple[list[Tensor], list[Tensor]]:
    """Return the model's input and output tensors, in its own order and names."""
    graph = parsed(model).graph
    return [_tensor(value) for value in graph.input], [_tensor(value) for value in graph.output]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return Tensor(value.name, tensor_dtype_to_np_dtype(kind.elem_type).name, shape)


def _joined(segments: Sequence[Path], threshold: float) -> bytes:
    """Return the one segment's file as it is, or several as one model without properties."""
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
    """Return a model of properties alone, which appended to a model adds them: protobuf joins repeated fields."""
    import onnx

    properties = onnx.ModelProto()
    onnx.helper.set_model_props(properties, dict(metadata))
    content: bytes = properties.SerializeToString()
    return content


def _operator_sets(models: Sequence[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    """Return the versions of the operator domains that a node uses; quantizers list others, unknown to other runtimes.

    Raises ExportFailed for segments of different versions or with functions of their own.
    """
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
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _with_branches(inner)


def _chained(graphs: list[onnx.GraphProto]) -> list[onnx.GraphProto]:
    """Rename in place, so that all names differ, and a segment's input has its predecessor's output's name."""
    carried = graphs[0].input[0].name
    for index, graph in enumerate(graphs):
        names = {"": "", graph.input[0].name: carried}

        def renamed(name: str, names: dict[str, str] = names, index: int = index) -> str:
            return names.setdefault(name, f"segment_{index}/{name}")

        for inner in _with_branches(graph):
            _rename(inner, renamed)
        carried = graph.output[-1].name
    return graphs


def _rename(graph: onnx.GraphProto, renamed: Callable[[str], str]) -> None:
    """Rename everything in this graph, graphs inside its nodes excluded, and drop the exporter's metadata.

    The metadata are stack traces with paths of this machine, and shapes with a dynamic batch.
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
    """The segments as nested graphs: each ends with an `If` whose `else` branch holds the next.

    A segment's weights belong to its own graph. With all weights in the outermost graph, ONNX Runtime did not lay out
    the later segments' float32 convolutions in blocks, and a static int8 model took 1.4 to 2.4 times as long.
    """

    def __init__(self, graphs: Sequence[onnx.GraphProto], limit: float) -> None:
        self._graphs = graphs
        self._limit = np.float32(limit)  # NumPy, too, compares float32 with a Python float in float32

    def graph(self) -> onnx.GraphProto:
        """Return all segments as one graph with batch 1, which an `If` can decide for."""
        from onnx import helper

        first = self._graphs[0].input[0]
        kind = first.type.tensor_type
        shape = [1, *(dim.dim_value for dim in kind.shape.dim[1:])]
        return self._stage(0, (LOGITS, EXIT), [helper.make_tensor_value_info(first.name, kind.elem_type, shape)])

    def _stage(self, index: int, names: tuple[str, str], inputs: list[onnx.ValueInfoProto]) -> onnx.GraphProto:
        """Return segment `index` and all after it; `names` are those of its outputs, the logits and the exit taken."""
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

        n_outputs = self._graphs[0].output[0].type.tensor_type.shape.dim[1].dim_value
        return [
            helper.make_tensor_value_info(names[0], TensorProto.FLOAT, [1, n_outputs]),
            helper.make_tensor_value_info(names[1], TensorProto.INT64, [1]),
        ]


def _answer(logits: str, index: int, names: tuple[str, str]) -> list[onnx.NodeProto]:
    """Return the nodes by which an input leaves at exit `index` with these logits."""
    from onnx import helper

    return [
        helper.make_node("Identity", [logits], [names[0]], f"{names[0]}_identity"),
        _constant(names[1], np.array([index], dtype=np.int64)),
    ]


def _decision(logits: str, limit: np.float32, own: str) -> list[onnx.NodeProto]:
    """Return nodes for `<own>leaves` [1]: the confidence of the logits is at least `limit`. `own` prefixes names."""
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
