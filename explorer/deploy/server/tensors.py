"""Tensors as the Open Inference Protocol v2 writes them: lists of JSON, or bytes after it."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from explorer.deploy.server.fields import is_count, list_field, text_field
from explorer.deploy.server.model import Model
from explorer.deploy.server.options import Limits
from explorer.deploy.server.refusals import Refused, shown
from explorer.runtimes.staged import Array

Tensor = Array | Sequence[str]
"""float32 or int64 of any shape; or strings."""

IMAGES: Final = "UINT8"
_DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}
STRINGS: Final = "BYTES"
_SHOWN_AXES = 8


def shape_of(tensor: Mapping[str, Any], model: Model, limits: Limits) -> tuple[int, ...]:
    """The shape [b, c, h, w] that an input states, which must be the model's. Raises Refused."""
    where = f'the input "{model.input_name}"'
    datatype = text_field(tensor, "datatype", where)
    if datatype != IMAGES:
        raise Refused(400, f"{where} has the datatype {shown(datatype)}: expected {IMAGES}, raw pixels from 0 to 255")
    shape = list_field(tensor, "shape", where)
    expected = f"[b, {', '.join(map(str, model.shape))}] with b from 1 to {limits.images}"
    if not all(map(is_count, shape)) or tuple(shape[1:]) != model.shape or len(shape) != len(model.shape) + 1:
        raise Refused(400, f"{where} has the shape {_shape(shape)}: expected {expected}")
    if not 1 <= shape[0] <= limits.images:
        raise Refused(400, f"{where} has {shape[0]} images: expected {expected}; send more in several requests")
    return tuple(shape)


def from_json(data: Sequence[Any], shape: tuple[int, ...], name: str) -> Array:
    """The tensor of a list, flat or nested as its shape, of integers from 0 to 255: uint8. Raises Refused."""
    values: Sequence[Any] = data
    if values and isinstance(values[0], list):
        for size in shape[1:]:
            if not all(type(part) is list and len(part) == size for part in values):
                raise Refused(400, f'the data of "{name}" are not nested as its shape {_shape(shape)} says')
            values = list(chain.from_iterable(values))
    n_values = math.prod(shape)
    if len(values) != n_values:
        raise Refused(400, f'"{name}" has {len(values):,} values: expected {n_values:,} for its shape {_shape(shape)}')
    if set(map(type, values)) != {int}:
        wrong = next(value for value in values if type(value) is not int)
        raise Refused(400, f'the data of "{name}" must be integers from 0 to 255, got {shown(wrong)}')
    try:
        return np.frombuffer(bytearray(values), dtype=np.uint8).reshape(shape)
    except ValueError as error:
        wrong = next(value for value in values if not 0 <= value <= 255)
        raise Refused(400, f'the data of "{name}" must be integers from 0 to 255, got {shown(wrong)}') from error


def from_bytes(content: bytes, shape: tuple[int, ...], name: str) -> Array:
    """The tensor of raw bytes, row by row: uint8. Raises Refused."""
    n_bytes = math.prod(shape)
    if len(content) != n_bytes:
        raise Refused(
            400, f'"{name}" brings {len(content):,} bytes: expected {n_bytes:,} for its shape {_shape(shape)}'
        )
    return np.frombuffer(bytearray(content), dtype=np.uint8).reshape(shape)  # writable, as torch wants it


def datatype_of(tensor: Tensor) -> str:
    """What the protocol calls the type of its elements."""
    return _DATATYPES[tensor.dtype] if isinstance(tensor, np.ndarray) else STRINGS


def to_json(tensor: Tensor) -> list[Any]:
    """The elements in a flat list, row by row."""
    return list(tensor.reshape(-1).tolist()) if isinstance(tensor, np.ndarray) else list(tensor)


def to_bytes(tensor: Tensor) -> bytes:
    """The elements, little-endian, row by row; strings as UTF-8, each after its length in four bytes."""
    if isinstance(tensor, np.ndarray):
        return tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
    encoded = [text.encode("utf-8") for text in tensor]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def _shape(shape: Sequence[Any]) -> str:
    rest = ", …" if len(shape) > _SHOWN_AXES else ""
    return f"[{', '.join(map(shown, shape[:_SHOWN_AXES]))}{rest}]"
