"""Inference by the Open Inference Protocol v2: read requests and write responses, with tensors as JSON or bytes.

Protocol: KServe, "Open Inference Protocol (V2)"; binary tensors: Triton, "Binary Tensor Data Extension". What a client
sends is converted strictly; every function raises Refused (400) with what was expected.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeVar

import numpy as np

from explorer.deploy.serve.model import VERSION, Model
from explorer.deploy.serve.requests import Limits, Refused, json_text
from explorer.deploy.serve.workers import Outcome
from explorer.runtimes.staged import Array
from explorer.tasks.task import TensorSpec
from explorer.web.responses import compact_json

HEADER_LENGTH: Final = "inference-header-content-length"
EXTENSIONS = ("binary_tensor_data",)
EXITS: Final = "exits"

Tensor = Array | Sequence[str]
"""Numbers of any shape; or strings."""

_Field = TypeVar("_Field", str, list[Any])
_DATATYPES = {"uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float32": "FP32"}
_STRINGS: Final = "BYTES"
# Parameters that would change the response's meaning; others that are unknown are harmless.
_UNSUPPORTED = ("classification", "sequence_id", "shared_memory_region", "shared_memory_byte_size")
_SHOWN_AXES = 8


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A valid request: inputs [b, ...]; `outputs` maps requested names to `is_binary`, in order."""

    id: str | None
    inputs: Array
    outputs: Mapping[str, bool]


def metadata(model: Model) -> dict[str, Any]:
    """Return the protocol's description of the model."""
    (k,), names = model.output.shape, model.task.labels(model.facts)
    outputs = [(model.output.name, "FP32", [-1, k]), (EXITS, "INT64", [-1])]
    outputs += [(model.task.output_noun[1], _STRINGS, [-1])] if names else []
    given = {"name": model.input.name, "datatype": _DATATYPES[model.input.dtype], "shape": [-1, *model.input.shape]}
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": model.platform,
        "inputs": [given],
        "outputs": [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in outputs],
    }


def read_request(body: bytes, header_length: str | None, model: Model, limits: Limits) -> InferenceRequest:
    """Return the request in `body`, whose first `header_length` bytes are JSON (None: all). Raises Refused (400)."""
    head, rest = _split(body, header_length)
    values = parsed(head)
    request_id = _required(values, "id", str, "the request") if values.get("id") is not None else None
    of_request = _parameters(values, "the request")
    inputs = _inputs(values, rest, model, limits)
    is_binary = _flag(of_request, "binary_data_output", False, "the request")
    known = [one["name"] for one in metadata(model)["outputs"]]
    return InferenceRequest(request_id, inputs, _outputs(values, is_binary, known))


def answer(request: InferenceRequest, outcome: Outcome, model: Model) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of the response."""
    made: dict[str, Tensor] = {model.output.name: outcome.outputs, EXITS: outcome.stages}
    if labels := model.task.labels(model.facts):
        made[model.task.output_noun[1]] = [labels[index] for index in model.task.predictions(outcome.outputs)]
    written, contents = [], []
    for name, is_binary in request.outputs.items():
        tensor = made[name]
        shape = list(tensor.shape) if isinstance(tensor, np.ndarray) else [len(tensor)]
        one: dict[str, Any] = {"name": name, "datatype": datatype_of(tensor), "shape": shape}
        if is_binary:
            contents.append(to_bytes(tensor))
            one["parameters"] = {"binary_data_size": len(contents[-1])}
        else:
            one["data"] = to_json(tensor)
        written.append(one)
    values = {"model_name": model.name, "model_version": VERSION, "outputs": written}
    head = compact_json(values if request.id is None else {"id": request.id, **values})
    if not contents:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return b"".join([head, *contents]), headers


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdecimal() and int(header_length[:20]) <= len(body)):
        found = f"Inference-Header-Content-Length is {json_text(header_length)}"
        raise Refused(400, f"{found}: expected how many of the body's {len(body):,} bytes are JSON")
    length = int(header_length)
    return body[:length], body[length:]


def _inputs(values: Mapping[str, Any], rest: bytes, model: Model, limits: Limits) -> Array:
    listed, spec = _required(values, "inputs", list, "the request"), model.input
    if len(listed) != 1:
        raise Refused(400, f'expected one input, "{spec.name}"; got {len(listed)}')
    tensor = _as_object(listed[0], "an input")
    name = _required(tensor, "name", str, "an input")
    if name != spec.name:
        raise Refused(400, f'there is no input {json_text(name)}: expected "{spec.name}"')
    where = f'the input "{name}"'
    of_input = _parameters(tensor, where)
    shape = shape_of(tensor, model, limits)
    size = of_input.get("binary_data_size")
    if size is None:
        if rest:
            raise Refused(400, f"{len(rest):,} bytes follow the JSON, and no input has a binary_data_size")
        return from_json(_required(tensor, "data", list, where), shape, spec)
    if "data" in tensor:
        raise Refused(400, f"{where} has both data and a binary_data_size: expected one of them")
    if not _is_count(size) or size != len(rest):
        found = f"{where} has a binary_data_size of {json_text(size)}, but {len(rest):,} bytes follow the JSON"
        raise Refused(400, f"{found}: the header Inference-Header-Content-Length says where it ends")
    return from_bytes(rest, shape, spec)


def _outputs(values: Mapping[str, Any], is_binary: bool, known: Sequence[str]) -> dict[str, bool]:
    """Return the requested outputs; all of them when the request names none."""
    outputs: dict[str, bool] = {}
    listed = _required(values, "outputs", list, "the request") if values.get("outputs") is not None else []
    for value in listed:
        output = _as_object(value, "an output")
        name = _required(output, "name", str, "an output")
        if name not in known:
            raise Refused(400, f"there is no output {json_text(name)}: expected some of {', '.join(known)}")
        if name in outputs:
            raise Refused(400, f'the output "{name}" is asked for twice')
        where = f'the output "{name}"'
        outputs[name] = _flag(_parameters(output, where), "binary_data", is_binary, where)
    return outputs or dict.fromkeys(known, is_binary)


def parsed(text: bytes) -> Mapping[str, Any]:
    """Return the JSON object in `text`. NaN and infinities are errors. Raises Refused (400)."""
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise Refused(400, "the JSON is nested too deeply") from error
    except ValueError as error:  # syntax, UTF-8, or numbers with thousands of digits
        raise Refused(400, f"the request is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused(400, f"expected a JSON object, got {json_text(value)}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _required(values: Mapping[str, Any], name: str, kind: type[_Field], where: str) -> _Field:
    value = values.get(name)
    if not isinstance(value, kind):
        found = json_text(value) if name in values else "none"
        raise Refused(400, f'{where} needs "{name}", a {"string" if kind is str else "list"}; got {found}')
    return value


def _parameters(values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the optional object "parameters", or an empty one. Raises Refused for unsupported ones."""
    value = values.get("parameters")
    found = {} if value is None else _as_object(value, f'"parameters" of {where}')
    for name in _UNSUPPORTED:
        if name in found:
            raise Refused(400, f'{where} has the parameter "{name}", which this server does not know: leave it out')
    return found


def _flag(values: Mapping[str, Any], name: str, otherwise: bool, where: str) -> bool:
    value = values.get(name, otherwise)
    if not isinstance(value, bool):
        raise Refused(400, f'"{name}" of {where} must be true or false, got {json_text(value)}')
    return value


def _as_object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refused(400, f"{where} must be an object, got {json_text(value)}")
    return value


def _is_count(value: Any) -> bool:
    """Return whether `value` is an integer of at least 0, and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def shape_of(tensor: Mapping[str, Any], model: Model, limits: Limits) -> tuple[int, ...]:
    """Return the shape [b, ...] of an input, which must be the model's. Raises Refused (400)."""
    spec, where = model.input, f'the input "{model.input.name}"'
    datatype, due = _required(tensor, "datatype", str, where), _DATATYPES[spec.dtype]
    if datatype != due:
        raise Refused(400, f"{where} has the datatype {json_text(datatype)}: expected {due}, {_range(spec)}")
    shape = _required(tensor, "shape", list, where)
    expected = f"[b, {', '.join(map(str, spec.shape))}] with b from 1 to {limits.examples}"
    if not all(map(_is_count, shape)) or tuple(shape[1:]) != spec.shape or len(shape) != len(spec.shape) + 1:
        raise Refused(400, f"{where} has the shape {_shape(shape)}: expected {expected}")
    if not 1 <= shape[0] <= limits.examples:
        found = f"{where} has {shape[0]} {model.task.noun[1]}"
        raise Refused(400, f"{found}: expected {expected}; send more in several requests")
    return tuple(shape)


def _range(spec: TensorSpec) -> str:
    """Return which numbers an element may be."""
    if np.dtype(spec.dtype).kind == "f":
        return "finite numbers"
    info = np.iinfo(spec.dtype)
    return f"integers from {info.min} to {info.max}"


def from_json(data: Sequence[Any], shape: tuple[int, ...], spec: TensorSpec) -> Array:
    """Return a tensor of `shape` from numbers, flat or nested. Raises Refused (400)."""
    values: Sequence[Any] = data
    if values and isinstance(values[0], list):
        for size in shape[1:]:
            if not all(type(part) is list and len(part) == size for part in values):
                raise Refused(400, f'the data of "{spec.name}" are not nested as its shape {_shape(shape)} says')
            values = list(chain.from_iterable(values))
    n_values = math.prod(shape)
    if len(values) != n_values:
        found = f'"{spec.name}" has {len(values):,} values'
        raise Refused(400, f"{found}: expected {n_values:,} for its shape {_shape(shape)}")
    kinds = {int, float} if np.dtype(spec.dtype).kind == "f" else {int}
    if not set(map(type, values)) <= kinds or (made := _array(values, spec)) is None:
        wrong = next(value for value in values if type(value) not in kinds or _array([value], spec) is None)
        raise Refused(400, f'the data of "{spec.name}" must be {_range(spec)}, got {json_text(wrong)}')
    return made.reshape(shape)


def _array(values: Sequence[Any], spec: TensorSpec) -> Array | None:
    """Return numbers as an array; None where one is out of range."""
    try:
        with np.errstate(over="ignore"):
            made = np.array(values, dtype=spec.dtype)
    except OverflowError:
        return None
    return made if np.isfinite(made).all() else None


def from_bytes(content: bytes, shape: tuple[int, ...], spec: TensorSpec) -> Array:
    """Return a tensor of `shape` from raw bytes, little-endian in row-major order. Raises Refused (400)."""
    n_bytes = math.prod(shape) * spec.item_bytes
    if len(content) != n_bytes:
        found = f'"{spec.name}" brings {len(content):,} bytes'
        raise Refused(400, f"{found}: expected {n_bytes:,} for its shape {_shape(shape)}")
    dtype = np.dtype(spec.dtype)
    made = np.frombuffer(bytearray(content), dtype=dtype.newbyteorder("<")).reshape(shape)  # torch needs it writable
    if not np.isfinite(made).all():
        raise Refused(400, f'the data of "{spec.name}" must be {_range(spec)}')
    return made.astype(dtype, copy=False)


def datatype_of(tensor: Tensor) -> str:
    """Return the protocol's name of the element type."""
    return _DATATYPES[tensor.dtype.name] if isinstance(tensor, np.ndarray) else _STRINGS


def to_json(tensor: Tensor) -> list[Any]:
    """Return the elements as a flat list in row-major order."""
    return list(tensor.reshape(-1).tolist()) if isinstance(tensor, np.ndarray) else list(tensor)


def to_bytes(tensor: Tensor) -> bytes:
    """Return the elements little-endian in row-major order; strings as UTF-8, each after its length in four bytes."""
    if isinstance(tensor, np.ndarray):
        return tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
    encoded = [text.encode("utf-8") for text in tensor]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def _shape(shape: Sequence[Any]) -> str:
    rest = ", …" if len(shape) > _SHOWN_AXES else ""
    return f"[{', '.join(map(json_text, shape[:_SHOWN_AXES]))}{rest}]"
