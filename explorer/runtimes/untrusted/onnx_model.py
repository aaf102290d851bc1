"""Check untrusted ONNX files: no external data, no unknown operators, no tensor larger than the file can hold.

While ONNX Runtime loads a model, it reads the files that external data name, wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from explorer.runtimes.untrusted.files import UnsafeFile, holds

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
# Its `ep_cache_context` may be the path of a compiled model elsewhere.
_READS_FILES = frozenset({"EPContext"})
# No element type takes less than a bit of the file.
_ELEMENTS_A_BYTE = 8


def check_onnx(content: bytes) -> None:
    """Raise UnsafeFile for anything but a model of known operators with all its weights inside."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise UnsafeFile("is not an ONNX model") from error
    functions = {(function.domain, function.name) for function in model.functions}
    n_nodes = 0
    for message in messages(model):
        if isinstance(message, onnx.TensorProto):
            _check_tensor(message, len(content))
        elif isinstance(message, onnx.SparseTensorProto):
            _check_size("a sparse tensor", message.dims, len(content))
        elif isinstance(message, onnx.NodeProto):
            _check_operator(message, functions)
            n_nodes += 1
    if not n_nodes:
        raise UnsafeFile("is an ONNX model without a single operator")


def messages(message: Any) -> Iterator[Any]:
    """Yield the message and all within it: initializers, attributes, subgraphs, functions, and any future field.

    The parser limits the depth to 100.
    """
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from messages(part)


def _check_tensor(tensor: Any, n_bytes: int) -> None:
    if tensor.data_location != 0 or tensor.external_data:
        place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "another file")
        raise UnsafeFile(f"refers to external data: the tensor {tensor.name[:80]!r} lies in {place[:80]!r}")
    _check_size(f"the tensor {tensor.name[:80]!r}", tensor.dims, n_bytes)


def _check_size(what: str, dims: Any, n_bytes: int) -> None:
    if not holds(dims, _ELEMENTS_A_BYTE * n_bytes):
        shape = " × ".join(map(str, dims[:8])) + (" × …" if len(dims) > 8 else "")
        raise UnsafeFile(f"declares {what} of {shape} values, more than its {n_bytes} bytes can hold")


def _check_operator(node: Any, functions: set[tuple[str, str]]) -> None:
    if (node.domain, node.op_type) in functions:
        return
    if node.domain not in _DOMAINS or node.op_type in _READS_FILES:
        name = f"{node.domain}.{node.op_type}".lstrip(".")
        raise UnsafeFile(f"uses the operator {name[:80]!r}, which is none of ONNX or ONNX Runtime that only computes")
