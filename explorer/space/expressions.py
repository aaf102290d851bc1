"""One-line expressions: durations such as `15m`, and constraints such as `accuracy >= 0.95 * baseline`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.metrics import METRICS, Comparison, Constraint
from explorer.space.refusal import Refused, described, listed, nearest, quoted

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)")
_EXPECTED = "expected a duration such as 90, 90s, 15m or 2h"


def parse_duration(value: Any) -> float:
    """Return the seconds of a text such as `15m`, or of a number of seconds. Raises Refused, also for zero."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused(f"{_EXPECTED}, got {described(value)}")
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise Refused(f"{_EXPECTED}, got {described(value)}")
    seconds = float(match[1]) * _SECONDS[match[2]] if match else float(value)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise Refused(f"{_EXPECTED}, more than zero, got {described(value)}")
    return seconds


def duration_text(seconds: float) -> str | int | float:
    """Return the shortest of `2h`, `15m` and a number of seconds that `parse_duration` reads back exactly."""
    if seconds.is_integer():
        for unit in ("h", "m"):
            if seconds % _SECONDS[unit] == 0 and seconds < 1e9:
                return f"{int(seconds) // _SECONDS[unit]}{unit}"
        return int(seconds) if seconds < 1e9 else seconds
    return seconds


_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%")


def ratio(value: Any) -> float:
    """Return the ratio of a text such as `1%`, or of a number such as 0.01. Raises Refused."""
    expected = "expected a percentage such as 1%, or a ratio such as 0.01"
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return float(f"{match[1]}e-2")  # exactly the decimal fraction that is written there
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{expected}, got {described(value)}")
    return float(value)


_MAX_LENGTH = 200  # longer than any expression of this form, short enough for the pattern to be quick
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_CONSTRAINT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*([<>=!≤≥]+)\s*(.*?)\s*")
_BOUND = re.compile(rf"(?P<number>{_NUMBER})|(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<baseline>baseline)")
_COMPARISONS: Mapping[str, Comparison] = {"<=": "<=", ">=": ">="}
_MEANT = {"<": "<=", "=<": "<=", "≤": "<=", ">": ">=", "=>": ">=", "≥": ">="}
_FORMS = "'metric <= number' or 'metric >= 0.95 * baseline'"


def parse_constraint(text: Any) -> Constraint:
    """Return the constraint of a text such as `latency_ms <= 1.5`. Raises Refused."""
    if not isinstance(text, str):
        raise Refused(f"expected a constraint, {_FORMS}, got {described(text)}")
    match = _CONSTRAINT.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise Refused(f"expected a constraint, {_FORMS}, got {described(text)}")
    metric, sign, bound = match.groups()
    if metric not in METRICS:
        raise Refused(
            f"{quoted(metric)} is no metric; the metrics are {listed(METRICS, 'and')}", hint=nearest(metric, METRICS)
        )
    if sign not in _COMPARISONS:
        meant = [_MEANT[sign]] if sign in _MEANT else ["<=", ">="]
        rather = listed(f"'{metric} {comparison} {bound}'" for comparison in meant)
        raise Refused(f"'{sign}' compares nothing that is measured; write {rather}")
    number, is_relative = _bound(bound)
    return Constraint(metric, _COMPARISONS[sign], number, is_relative)


def _bound(text: str) -> tuple[float, bool]:
    """Return the number of a bound, and whether it is a multiple of the baseline's value. Raises Refused."""
    match = _BOUND.fullmatch(text)
    if match is None:
        raise Refused(f"expected a number, or a number * baseline, got {described(text)}")
    is_relative = match["baseline"] is not None
    number = float((match["factor"] or "1") if is_relative else match["number"]) + 0.0  # -0.0 becomes 0.0
    if not math.isfinite(number):
        raise Refused(f"expected a finite number, got {described(text)}")
    if is_relative and number <= 0:
        raise Refused(f"expected a positive multiple of the baseline, got {described(text)}")
    return number, is_relative


def constraint_text(limit: Constraint) -> str:
    """Return the shortest text that `parse_constraint` reads back exactly."""
    number = repr(limit.bound).removesuffix(".0")
    if limit.is_relative:
        number = "baseline" if limit.bound == 1 else f"{number} * baseline"
    return f"{limit.metric} {limit.comparison} {number}"


def check_limits(limits: Sequence[Constraint]) -> None:
    """Raise Refused at the first constraint that contradicts one before it.

    Absolute bounds are compared with absolute ones, multiples of the baseline with multiples of the baseline.
    """
    tightest: dict[tuple[str, bool, Comparison], Constraint] = {}
    for index, limit in enumerate(limits):
        opposite = tightest.get((limit.metric, limit.is_relative, "<=" if limit.comparison == ">=" else ">="))
        if opposite is not None and _slack(limit) + _slack(opposite) < 0:
            raise Refused(
                f"'{constraint_text(limit)}' contradicts '{constraint_text(opposite)}': no value satisfies both; "
                "remove one of them",
                at=(index,),
            )
        key = (limit.metric, limit.is_relative, limit.comparison)
        if key not in tightest or _slack(limit) < _slack(tightest[key]):
            tightest[key] = limit


def _slack(limit: Constraint) -> float:
    """Return the signed bound: two opposite constraints contradict each other if the sum of theirs is negative."""
    return limit.bound if limit.comparison == "<=" else -limit.bound
