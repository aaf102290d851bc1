"""Sound: whether values of a study's files are of the kinds that they should be, since anybody may have written them.

Each function raises TypeError or ValueError that says what was expected; 10,000 records are checked in a third of a
second.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from math import isfinite
from typing import Any, NoReturn, get_args

from explorer.records import Failure, Measurement, Stage, TrialState, Variant
from explorer.space.values import Parameter

STATES = frozenset(get_args(TrialState))
_NUMBERS = frozenset({int, float})  # what JSON gives; a bool is none
_NESTED = frozenset({dict, list})
_WHOLE, _TEXT = frozenset({int}), frozenset({str})
_LARGEST = 2**53  # a float is exact up to it; a whole number of JSON may have 4300 digits
LARGEST_MEASURED = 1e100  # sums, products and ratios of what is measured stay finite
_DEEPEST = 100  # what shows a record calls itself once a level, and Python bears a thousand calls
_OF_PARAMETERS = {"runtime": _TEXT, "quantization": _TEXT, "batch_size": _WHOLE, "threads": _WHOLE}


def json_value(text: str | bytes) -> Any:
    """What JSON text says. Raises RecursionError if it is too deep, ValueError for anything else that is no JSON, for
    NaN, and for what `require_plain` refuses.
    """
    value = json.loads(text, parse_constant=_refused)
    require_plain("JSON", value)
    return value


def require_plain(what: str, value: object) -> None:
    """However deep in it, numbers are finite ones that a float holds, and texts are UTF-8; at most 100 levels deep.

    So everything in it can be calculated with, shown, and written as JSON again. Raises ValueError.
    """
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        kinds = set(map(type, level))
        if not kinds.isdisjoint(_NUMBERS):
            _require_floats(what, [one for one in level if type(one) in _NUMBERS])
        if str in kinds:
            _require_utf_8(what, [one for one in level if type(one) is str])
        if kinds.isdisjoint(_NESTED):
            return
        objects = [one for one in level if type(one) is dict]
        lists = [one for one in level if type(one) is list]
        for one in objects:
            _require_utf_8(what, one)
        level = [*chain.from_iterable(lists), *chain.from_iterable(one.values() for one in objects)]
    raise ValueError(f"{what}: nested more than {_DEEPEST} levels deep")


def require_finite(what: str, values: Collection[object]) -> None:
    """They are finite numbers."""
    try:
        # The sum, which takes less time, may be too large where no number is.
        if _NUMBERS.issuperset(map(type, values)) and (isfinite(sum(map(abs, values))) or all(map(isfinite, values))):  # type: ignore[arg-type]
            return
    except OverflowError:  # of a whole number that no float holds
        pass
    raise TypeError(f"{what}: expected finite numbers")


def require_measured(what: str, values: Collection[Any]) -> None:
    """They are numbers as something that was measured may be: of at most LARGEST_MEASURED, which NaN is not."""
    require_finite(what, values)
    if values and (largest := max(max(values), -min(values))) > LARGEST_MEASURED:
        raise ValueError(f"{what}: nothing measured is as large as {largest:g}")


def require_whole(what: str, values: Collection[object]) -> None:
    """They are whole numbers from 0 on, and a float holds them exactly."""
    if not _WHOLE.issuperset(map(type, values)) or not all(0 <= v <= _LARGEST for v in values):  # type: ignore[operator]
        raise TypeError(f"{what}: expected whole numbers")


def require_texts(what: str, values: Collection[object]) -> None:
    """They are texts."""
    if not _TEXT.issuperset(map(type, values)):
        raise TypeError(f"{what}: expected text")


def require_truth(what: str, value: object) -> None:
    """It is true or false."""
    if type(value) is not bool:
        raise TypeError(f"{what}: expected true or false")


def require_object(what: str, value: object) -> None:
    """It is an object of JSON."""
    if not isinstance(value, dict):
        raise TypeError(f"{what}: expected an object")


def require_list(what: str, value: object) -> None:
    """It is a list of JSON: a text, which can be walked through too, is none."""
    if not isinstance(value, list):
        raise TypeError(f"{what}: expected a list")


def sound_variant(variant: Variant) -> Variant:
    """The variant, whose fields are of their kinds."""
    widths = variant.width if isinstance(variant.width, tuple) else (variant.width,)
    require_finite("a variant", (*widths, variant.pruning_ratio, variant.exit_threshold))
    require_texts("a variant", (variant.runtime, variant.quantization))
    require_whole("a variant", (variant.batch_size, variant.threads))
    return variant


def sound_measurement(name: str, measured: Measurement) -> Measurement:
    """The measurement, whose value and ends are finite numbers where they are known."""
    ends = (measured.value, measured.low, measured.high, measured.n)
    require_measured(name, [end for end in ends if end is not None])
    require_texts(name, [] if measured.why is None else [measured.why])
    return measured


def sound_failure(values: Mapping[str, Any] | None) -> Failure | None:
    """The failure that `dataclasses.asdict` gave, or None."""
    if values is None:
        return None
    failure = Failure(**values)
    require_texts("a failure", (failure.kind, failure.reason))
    return failure


def sound_stage(values: Mapping[str, Any]) -> Stage:
    """The stage that `dataclasses.asdict` gave."""
    stage = Stage(**values)
    if type(stage.name) is not str or type(stage.is_cached) is not bool:
        raise TypeError("a stage: expected its name, and whether it is cached")
    return stage


def require_sound_parameter(parameter: Parameter) -> None:
    """Its values are of the kind that a variant's field is."""
    kinds = _OF_PARAMETERS.get(parameter.name)
    if kinds is None:
        values = [one for value in parameter.values for one in (value if isinstance(value, tuple) else (value,))]
        if parameter.name != "width" and len(values) != len(parameter.values):
            raise TypeError(f"{parameter.name}: expected numbers")
        require_finite(parameter.name, values)
    elif not kinds.issuperset(map(type, parameter.values)):
        raise TypeError(f"{parameter.name}: its values are of another kind")


def _require_floats(what: str, numbers: Collection[float]) -> None:
    """A float holds them, and they are finite."""
    try:
        # The sum, which takes less time, may be too large where no number is.
        if not isfinite(sum(map(abs, numbers))) and not all(map(isfinite, numbers)):
            raise ValueError(f"{what}: a number is not finite")
    except OverflowError as error:
        raise ValueError(f"{what}: a number is too large") from error


def _require_utf_8(what: str, texts: Iterable[str]) -> None:
    """None of them has half of a character, which JSON can name and no file can hold."""
    if not (text := "".join(texts)).isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{what}: a text has half of a character") from error


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")
