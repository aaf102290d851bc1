"""Allowed values: a list, a range or a single value of the file as the finite values of a parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from explorer.parameters import Names, Numbers, Value
from explorer.space.refusal import Refused, check_choice, described, inside, unknown_key

MAX_VALUES = 1000
"""Values of one parameter; more would amount to a continuous parameter, slow to list and to sample."""

_RANGE_KEYS = ("min", "max", "step")

Number = int | float


def checked(value: Any, rule: Numbers) -> Number:
    """Return `value` as a whole number or a float. Raises Refused unless `rule` allows it."""
    if expected := rule.expected(value):
        raise Refused(f"{expected}, got {described(value)}")
    return value if rule.is_whole else float(value) + 0.0  # -0.0 becomes 0.0, so that equal values have equal texts


def allowed_values(raw: Any, rule: Numbers | Names) -> tuple[Value, ...]:
    """Return the values of a list, of a single value, of a `{min, max, step}`, or of a `{per_stage: ...}`.

    The last is an independent choice for each stage: every value is a tuple, unless there is only one. Raises Refused.
    """
    if isinstance(rule, Names):
        return _names(raw, rule)
    if rule.n_stages > 0 and isinstance(raw, dict) and "per_stage" in raw:
        return _per_stage(raw, rule)
    return _numbers(raw, rule)


def _numbers(raw: Any, rule: Numbers) -> tuple[Number, ...]:
    if isinstance(raw, list):
        return _ascending(_each(raw, lambda value: checked(value, rule)))
    if isinstance(raw, dict):
        return _range(raw, rule)
    return (checked(raw, rule),)


def _names(raw: Any, rule: Names) -> tuple[str, ...]:
    if not isinstance(raw, list):
        return (check_choice(raw, rule.names, f"{rule.what}, or a list of such names", rule.faults),)
    found = _each(raw, lambda value: check_choice(value, rule.names, rule.what, rule.faults))
    for index, name in enumerate(found):
        if name in found[:index]:
            raise Refused(f"'{name}' is in the list twice; give it once", at=(index,))
    return found


def _per_stage(raw: dict[str, Any], rule: Numbers) -> tuple[Value, ...]:
    for key in raw:
        if key != "per_stage":
            raise Refused(f"expected per_stage alone, got '{key}' beside it", at=(key,), is_key=True)
    with inside("per_stage"):
        choices = _numbers(raw["per_stage"], rule)
    n_stages = rule.n_stages
    if len(choices) == 1 or n_stages == 1:
        return choices
    if len(choices) ** n_stages > MAX_VALUES:
        raise Refused(
            f"{len(choices)} values for each of {n_stages} stages are {len(choices) ** n_stages} combinations, "
            f"expected at most {MAX_VALUES}; give fewer values",
            at=("per_stage",),
        )
    return tuple(product(choices, repeat=n_stages))


def _each(raw: list[Any], check: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return every checked item of a list. Raises Refused for an empty or long list, and as `check` does."""
    if not raw:
        raise Refused("the list is empty; give at least one value")
    if len(raw) > MAX_VALUES:
        raise Refused(f"expected at most {MAX_VALUES} values, got {len(raw)}")
    checked = []
    for index, value in enumerate(raw):
        with inside(index):
            checked.append(check(value))
    return tuple(checked)


def _ascending(values: tuple[Number, ...]) -> tuple[Number, ...]:
    for index, (before, value) in enumerate(pairwise(values), start=1):
        if value <= before:
            raise Refused(f"numbers of a list ascend, each once, but {value!r} follows {before!r}", at=(index,))
    return values


def _range(raw: dict[str, Any], rule: Numbers) -> tuple[Number, ...]:
    for key in raw:
        if key not in _RANGE_KEYS:
            raise unknown_key((key,), "a range", _RANGE_KEYS)
    for key in _RANGE_KEYS:
        if key not in raw:
            addition = "add a step: every range is a finite grid" if key == "step" else f"add a {key}"
            raise Refused(f"the range has no {key}; {addition}")
    rules = {"min": rule, "max": rule, "step": Numbers(0, math.inf, is_whole=rule.is_whole, is_open=True)}
    bounds: dict[str, Number] = {}
    for key in raw:
        with inside(key):
            bounds[key] = checked(raw[key], rules[key])
    return _points(bounds["min"], bounds["max"], bounds["step"])


def _points(low: Number, high: Number, step: Number) -> tuple[Number, ...]:
    """Return every point of a range, ends included, each the float nearest to the exact decimal: 0.1 · 3 is 0.3."""
    if low > high:
        raise Refused(f"the max {high!r} is less than the min {low!r}", at=("max",))
    first, last, stride = (Fraction(repr(value)) for value in (low, high, step))
    n_steps = (last - first) / stride
    if n_steps + 1 > MAX_VALUES:
        raise Refused(f"the range has more than {MAX_VALUES} values; take a larger step", at=("step",))
    if n_steps.denominator != 1:
        reached = float(first + int(n_steps) * stride)
        raise Refused(
            f"the step {step!r} does not divide the range from {low!r} to {high!r}: it reaches {reached:.12g}, "
            f"then {float(first + (int(n_steps) + 1) * stride):.12g}",
            at=("step",),
        )
    exact = (first + index * stride for index in range(int(n_steps) + 1))
    return tuple(int(point) if isinstance(low, int) else float(point) for point in exact)
