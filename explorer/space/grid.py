"""Grids: a list, a range or a single value of the file as the finite values that a parameter may take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from explorer.records import Width
from explorer.space.refusal import Refused, check_choice, described, listed, nearest

MAX_VALUES = 1000
"""Values of one parameter: more would be a continuous parameter in disguise, slow to list and to sample."""

_RANGE_KEYS = ("min", "max", "step")

Number = int | float


@dataclass(frozen=True, slots=True)
class NumberRule:
    """Which numbers are allowed: from `minimum` (not itself when `is_open`) to `maximum`, whole ones or all.

    `why_minimum` and `why_maximum` say whose limit it is, where that is not plain.
    """

    minimum: float
    maximum: float
    is_whole: bool = False
    is_open: bool = False
    why_minimum: str = ""
    why_maximum: str = ""

    def check(self, value: Any) -> Number:
        """`value` as a whole number or a float. Raises Refused."""
        kinds = int if self.is_whole else int | float
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise Refused(f"expected {'a whole number' if self.is_whole else 'a number'}, got {described(value)}")
        if value < self.minimum or (self.is_open and value == self.minimum):
            bound = f"{'more than' if self.is_open else 'at least'} {self.minimum:g}"
            raise Refused(f"expected {bound}{_because(self.why_minimum)}, got {value!r}")
        if value > self.maximum:
            raise Refused(f"expected at most {self.maximum:g}{_because(self.why_maximum)}, got {value!r}")
        return value if self.is_whole else float(value) + 0.0  # -0.0 becomes 0.0: equal values, equal texts


def numbers(raw: Any, rule: NumberRule) -> tuple[Number, ...]:
    """The numbers of a list, of a `{min, max, step}`, or of a single number. Raises Refused."""
    if isinstance(raw, list):
        return _ascending(_each(raw, rule.check))
    if isinstance(raw, dict):
        return _range(raw, rule)
    return (rule.check(raw),)


def names(raw: Any, allowed: Iterable[str], what: str) -> tuple[str, ...]:
    """The names of a list, or a single name, each one of `allowed`. Raises Refused."""
    known = tuple(allowed)
    if not isinstance(raw, list):
        return (check_choice(raw, known, f"{what}, or a list of such names"),)
    found = _each(raw, lambda value: check_choice(value, known, what))
    for index, name in enumerate(found):
        if name in found[:index]:
            raise Refused(f"'{name}' is in the list twice; give it once", at=(index,))
    return found


def widths(raw: Any, rule: NumberRule, n_stages: int) -> tuple[Width, ...]:
    """The widths of a list, range or number; or of `{per_stage: ...}`, an independent choice for each stage.

    With `per_stage` every value is a tuple of `n_stages` numbers, unless there is nothing to choose. Raises Refused.
    """
    if not isinstance(raw, dict) or "per_stage" not in raw:
        return numbers(raw, rule)
    for key in raw:
        if key != "per_stage":
            raise Refused(f"expected per_stage alone, got '{key}' beside it", at=(key,), is_key=True)
    try:
        choices = numbers(raw["per_stage"], rule)
    except Refused as refused:
        raise refused.under("per_stage") from None
    if len(choices) == 1 or n_stages == 1:
        return choices
    if len(choices) ** n_stages > MAX_VALUES:
        raise Refused(
            f"{len(choices)} widths for each of {n_stages} stages are {len(choices) ** n_stages} combinations, "
            f"expected at most {MAX_VALUES}; give fewer widths",
            at=("per_stage",),
        )
    return tuple(product(choices, repeat=n_stages))


def _each(raw: list[Any], check: Any) -> tuple[Any, ...]:
    """Every item of a list, checked."""
    if not raw:
        raise Refused("the list is empty; give at least one value")
    if len(raw) > MAX_VALUES:
        raise Refused(f"expected at most {MAX_VALUES} values, got {len(raw)}")
    checked = []
    for index, value in enumerate(raw):
        try:
            checked.append(check(value))
        except Refused as refused:
            raise refused.under(index) from None
    return tuple(checked)


def _ascending(values: tuple[Number, ...]) -> tuple[Number, ...]:
    for index, (before, value) in enumerate(pairwise(values), start=1):
        if value <= before:
            raise Refused(f"numbers of a list ascend, each once, but {value!r} follows {before!r}", at=(index,))
    return values


def _range(raw: dict[str, Any], rule: NumberRule) -> tuple[Number, ...]:
    for key in raw:
        if key not in _RANGE_KEYS:
            hint = nearest(key, _RANGE_KEYS)
            raise Refused(
                f"'{key}' is no key of a range; the keys are {listed(_RANGE_KEYS, 'and')}",
                at=(key,),
                hint=hint,
                is_key=True,
            )
    for key in _RANGE_KEYS:
        if key not in raw:
            addition = "add a step: every range is a finite grid" if key == "step" else f"add a {key}"
            raise Refused(f"the range has no {key}; {addition}")
    step_rule = NumberRule(0, math.inf, is_whole=rule.is_whole, is_open=True)
    rules = {"min": rule, "max": rule, "step": step_rule}
    bounds: dict[str, Number] = {}
    for key in raw:
        try:
            bounds[key] = rules[key].check(raw[key])
        except Refused as refused:
            raise refused.under(key) from None
    return _points(bounds["min"], bounds["max"], bounds["step"])


def _points(low: Number, high: Number, step: Number) -> tuple[Number, ...]:
    """Every point of a range, ends included, each the number nearest to the exact decimal: 0.1 · 3 is 0.3."""
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


def _because(why: str) -> str:
    return f" ({why})" if why else ""
