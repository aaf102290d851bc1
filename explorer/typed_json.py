"""Frozen dataclasses as JSON and back: one strict reader, and no guards behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

_Made = TypeVar("_Made")


def to_json(value: Any) -> Any:
    """Return a dataclass as an object by its fields' names, tuples as lists; all other values as they are."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_json(one) for name, one in value.items()}
    return [to_json(one) for one in value] if isinstance(value, list | tuple) else value


def from_json(kind: type[_Made], value: Any, what: str = "") -> _Made:
    """Return the inverse of `to_json`: a `kind`, a dataclass of no other fields or a mapping, each part of its type.

    Floats are finite.

    Raises TypeError that names the place, `what` at its root, and what was expected.
    """
    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError
    from pydantic_core import to_json as text_of

    try:
        made: _Made = _reader(kind).validate_json(b"[%s]" % text_of(value))[0]  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join([what or kind.__name__, *map(str, first["loc"][1:])])
        raise TypeError(f"{place}: {error_text(first)}, got {first['input']!r:.100}") from error
    except PydanticSerializationError as error:
        raise TypeError(f"{what or kind.__name__}: {error}") from error
    return made


def error_text(details: ErrorDetails) -> str:
    """Return one of pydantic's errors in words; of an error that a validator raised, its own words alone."""
    return details["msg"].removeprefix("Value error, ")


@cache
def _reader(kind: Any) -> TypeAdapter[list[Any]]:
    from pydantic import ConfigDict, TypeAdapter

    # Within a list, since dataclasses take their settings from what they are within.
    return TypeAdapter(list[kind], config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
