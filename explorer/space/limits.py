"""Limits: constraints as one-line expressions, and the check that they do not contradict each other."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.errors import UsageError
from explorer.objectives import METRICS, Comparison, Constraint
from explorer.space.refusal import Refused, described, listed, nearest, quoted

_MAX_LENGTH = 200  # longer than any expression of this form, short enough for the pattern to be quick
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_CONSTRAINT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*([<>=!≤≥]+)\s*(.*?)\s*")
_BOUND = re.compile(rf"(?P<number>{_NUMBER})|(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<baseline>baseline)")
_COMPARISONS: Mapping[str, Comparison] = {"<=": "<=", ">=": ">="}
_MEANT = {"<": "<=", "=<": "<=", "≤": "<=", ">": ">=", "=>": ">=", "≥": ">="}
_FORMS = "'metric <= number' or 'metric >= 0.95 * baseline'"


def parse_constraint(text: str) -> Constraint:
    """The constraint that a text such as `latency_ms <= 1.5` or `accuracy >= 0.95 * baseline` says.

    Raises UsageError for any other form and for an unknown metric.
    """
    try:
        return constraint(text)
    except Refused as refused:
        hint = f"; did you mean '{refused.hint}'?" if refused.hint else ""
        raise UsageError(f"{refused.sentence}{hint}") from None


def constraint(text: Any) -> Constraint:
    """As `parse_constraint`, for any value of a file. Raises Refused."""
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
    """The number of a bound, and whether it is a multiple of the baseline's value."""
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
    """The shortest text that `parse_constraint` reads back exactly."""
    number = repr(limit.bound).removesuffix(".0")
    if limit.is_relative:
        number = "baseline" if limit.bound == 1 else f"{number} * baseline"
    return f"{limit.metric} {limit.comparison} {number}"


def check_limits(limits: Sequence[Constraint]) -> None:
    """Raise Refused at the first constraint that no value can satisfy together with one before it.

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
    """The larger, the more values satisfy the constraint; two opposite ones exclude each other when the sum is < 0."""
    return limit.bound if limit.comparison == "<=" else -limit.bound
