"""Inference by the Open Inference Protocol v2: what a request asks for, and the answer; tensors as JSON or binary.

Protocol: KServe, "Open Inference Protocol (V2)"; binary tensors: Triton, "Binary Tensor Data Extension".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from explorer.deploy.server.fields import as_object, flag, is_count, list_field, parameters, parsed, text_field
from explorer.deploy.server.model import VERSION, Model
from explorer.deploy.server.options import Limits
from explorer.deploy.server.refusals import Refused, shown
from explorer.deploy.server.tensors import Tensor, datatype_of, from_bytes, from_json, shape_of, to_bytes, to_json
from explorer.deploy.server.workers import Outcome
from explorer.runtimes.staged import Array

HEADER_LENGTH: Final = "inference-header-content-length"
EXTENSIONS = ("binary_tensor_data",)
EXITS, CLASSES = "exits", "classes"
# What would change the answer's meaning, and is not done here; other parameters that are not known are harmless.
_NOT_DONE = ("classification", "sequence_id", "shared_memory_region", "shared_memory_byte_size")


@dataclass(frozen=True, slots=True)
class Asked:
    """One output that is to be in the answer."""

    name: str
    is_binary: bool


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A request that can be executed: images uint8 [b, c, h, w], and the outputs in the order of the answer."""

    id: str | None
    images: Array
    outputs: tuple[Asked, ...]


def output_names(model: Model) -> tuple[str, str, str]:
    """Logits FP32 [b, k], exits INT64 [b], names of classes BYTES [b]."""
    return model.logits_name, EXITS, CLASSES


def read_request(body: bytes, header_length: str | None, model: Model, limits: Limits) -> InferenceRequest:
    """The request in `body`; `header_length`: how many bytes of it are JSON, where bytes of tensors follow it.

    Raises Refused.
    """
    head, rest = _split(body, header_length)
    values = parsed(head)
    request_id = text_field(values, "id", "the request") if values.get("id") is not None else None
    of_request = parameters(values, "the request")
    _refuse_undone(of_request, "the request")
    images = _images(values, rest, model, limits)
    is_binary = flag(of_request, "binary_data_output", False, "the request")
    return InferenceRequest(request_id, images, _outputs(values, is_binary, output_names(model)))


def answer(request: InferenceRequest, outcome: Outcome, model: Model) -> tuple[bytes, dict[str, str]]:
    """The body of the answer, and its headers."""
    classes = [model.classes[index] for index in outcome.logits.argmax(axis=1)]
    made: dict[str, Tensor] = dict(zip(output_names(model), (outcome.logits, outcome.exits, classes), strict=True))
    written, contents = [], []
    for asked in request.outputs:
        tensor = made[asked.name]
        shape = list(outcome.logits.shape) if asked.name == model.logits_name else [len(classes)]
        one: dict[str, Any] = {"name": asked.name, "datatype": datatype_of(tensor), "shape": shape}
        if asked.is_binary:
            contents.append(to_bytes(tensor))
            one["parameters"] = {"binary_data_size": len(contents[-1])}
        else:
            one["data"] = to_json(tensor)
        written.append(one)
    values = {"model_name": model.name, "model_version": VERSION, "outputs": written}
    if request.id is not None:
        values = {"id": request.id, **values}
    head = json.dumps(values, allow_nan=False, separators=(",", ":")).encode("ascii")
    if not contents:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return b"".join([head, *contents]), headers


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdecimal() and int(header_length[:20]) <= len(body)):
        raise Refused(
            400,
            f"Inference-Header-Content-Length is {shown(header_length)}: expected how many of the body's "
            f"{len(body):,} bytes are JSON",
        )
    length = int(header_length)
    return body[:length], body[length:]


def _images(values: Mapping[str, Any], rest: bytes, model: Model, limits: Limits) -> Array:
    inputs = list_field(values, "inputs", "the request")
    if len(inputs) != 1:
        raise Refused(400, f'expected one input, "{model.input_name}"; got {len(inputs)}')
    tensor = as_object(inputs[0], "an input")
    name = text_field(tensor, "name", "an input")
    if name != model.input_name:
        raise Refused(400, f'there is no input {shown(name)}: expected "{model.input_name}"')
    where = f'the input "{name}"'
    of_input = parameters(tensor, where)
    _refuse_undone(of_input, where)
    shape = shape_of(tensor, model, limits)
    size = of_input.get("binary_data_size")
    if size is None:
        if rest:
            raise Refused(400, f"{len(rest):,} bytes follow the JSON, and no input has a binary_data_size")
        return from_json(list_field(tensor, "data", where), shape, name)
    if "data" in tensor:
        raise Refused(400, f"{where} has both data and a binary_data_size: expected one of them")
    if not is_count(size) or size != len(rest):
        raise Refused(
            400,
            f"{where} has a binary_data_size of {shown(size)}, but {len(rest):,} bytes follow the JSON: the header "
            "Inference-Header-Content-Length says where it ends",
        )
    return from_bytes(rest, shape, name)


def _outputs(values: Mapping[str, Any], is_binary: bool, known: Sequence[str]) -> tuple[Asked, ...]:
    """What is asked for; everything, where nothing is named."""
    asked: dict[str, Asked] = {}
    listed = list_field(values, "outputs", "the request") if values.get("outputs") is not None else []
    for value in listed:
        output = as_object(value, "an output")
        name = text_field(output, "name", "an output")
        if name not in known:
            raise Refused(400, f"there is no output {shown(name)}: expected some of {', '.join(known)}")
        if name in asked:
            raise Refused(400, f'the output "{name}" is asked for twice')
        where = f'the output "{name}"'
        of_output = parameters(output, where)
        _refuse_undone(of_output, where)
        asked[name] = Asked(name, flag(of_output, "binary_data", is_binary, where))
    return tuple(asked.values()) or tuple(Asked(name, is_binary) for name in known)


def _refuse_undone(values: Mapping[str, Any], where: str) -> None:
    for name in _NOT_DONE:
        if name in values:
            raise Refused(400, f'{where} has the parameter "{name}", which this server does not know: leave it out')
