"""Fields: JSON from clients, read strictly, each refusal naming the field and what it should be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from explorer.deploy.server.refusals import Refused, shown


def parsed(text: bytes) -> Mapping[str, Any]:
    """The JSON object that `text` is. NaN and infinities are no JSON. Raises Refused."""
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise Refused(400, "the JSON is nested too deeply") from error
    except ValueError as error:  # of the syntax, of UTF-8, of numbers with thousands of digits
        raise Refused(400, f"the request is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused(400, f"expected a JSON object, got {shown(value)}")
    return value


def text_field(values: Mapping[str, Any], name: str, where: str) -> str:
    """A required string."""
    value = values.get(name)
    if not isinstance(value, str):
        raise Refused(400, f'{where} needs "{name}", a string; got {_got(values, name)}')
    return value


def list_field(values: Mapping[str, Any], name: str, where: str) -> list[Any]:
    """A required list."""
    value = values.get(name)
    if not isinstance(value, list):
        raise Refused(400, f'{where} needs "{name}", a list; got {_got(values, name)}')
    return value


def parameters(values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The optional object "parameters"."""
    value = values.get("parameters")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(400, f'"parameters" of {where} must be an object, got {shown(value)}')
    return value


def flag(values: Mapping[str, Any], name: str, otherwise: bool, where: str) -> bool:
    """An optional true or false among parameters."""
    value = values.get(name, otherwise)
    if not isinstance(value, bool):
        raise Refused(400, f'"{name}" of {where} must be true or false, got {shown(value)}')
    return value


def as_object(value: Any, where: str) -> Mapping[str, Any]:
    """An element of a list that must be an object."""
    if not isinstance(value, dict):
        raise Refused(400, f"{where} must be an object, got {shown(value)}")
    return value


def is_count(value: Any) -> bool:
    """Whether it is an integer that counts something; true is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _got(values: Mapping[str, Any], name: str) -> str:
    return shown(values[name]) if name in values else "none"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")
