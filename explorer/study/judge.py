"""Judge: what an outcome means for a study: a result or none, believed or not, feasible or not."""

from __future__ import annotations

import json
import reprlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from explorer.objectives import METRICS, Constraint
from explorer.records import Failure, Measurement, TrialOutcome, TrialState
from explorer.space.values import SearchSpace
from explorer.study.sound import LARGEST_MEASURED, require_plain

_LARGEST_SHARE = 1e6
"""Samplers compare violations and some of them standardize: infinity would hide every difference."""

_NEVER_ZERO = ("ms", "1/s")
"""The units of times and rates: a query that takes no time at all was not timed."""


def judge(
    outcome: TrialOutcome, space: SearchSpace, baseline: Mapping[str, float] | None
) -> tuple[TrialState, TrialOutcome, dict[str, float]]:
    """The trial's state, its outcome with a failure where it has no result, and each constraint's violation.

    A failure wins over an invalid measurement, and that over what it breaks, which is told all the same.
    `baseline` are the baseline's metrics; None while judging the baseline itself, which is its own.
    """
    checked = _checked(outcome, space, is_baseline=baseline is None)
    if checked.failure is not None:
        return "failed", checked, {}
    values = checked.values()
    violations = {str(c): c.violation(values, values if baseline is None else baseline) for c in space.constraints}
    state: TrialState = "infeasible" if any(amount > 0 for amount in violations.values()) else "complete"
    if checked.invalid:
        state = "invalid"
    return state, checked, violations


def violation_shares(
    constraints: Sequence[Constraint], values: Mapping[str, float], baseline: Mapping[str, float]
) -> dict[str, float]:
    """Each constraint's violation as a share of its bound, bounded: MiB and percents compare only so."""
    shares = {}
    for constraint in constraints:
        scale = abs(constraint.limit(baseline)) or 1.0
        share = constraint.violation(values, baseline) / scale
        shares[str(constraint)] = max(-_LARGEST_SHARE, min(_LARGEST_SHARE, share))
    return shares


def _checked(outcome: TrialOutcome, space: SearchSpace, is_baseline: bool) -> TrialOutcome:
    """The outcome, with a failure where a value is impossible, or one that the study needs is unknown."""
    if (failure := outcome.failure) is not None:
        return replace(outcome, failure=Failure(_storable(failure.kind), _storable(failure.reason)))
    faults = {name: fault for name, metric in outcome.metrics.items() if (fault := _fault(name, metric))}
    if faults:
        metrics = {
            name: Measurement.unknown(f"invalid value: {faults[name]}") if name in faults else metric
            for name, metric in outcome.metrics.items()
        }
        reason = "; ".join(f"{name} is {fault}" for name, fault in sorted(faults.items()))
        return replace(outcome, metrics=metrics, failure=Failure("invalid value", reason))
    try:
        json.dumps(dict(outcome.details), allow_nan=False)
        require_plain("the trial's details", dict(outcome.details))
    except (TypeError, ValueError, RecursionError) as error:
        return replace(outcome, details={}, failure=Failure("invalid value", f"the trial's details: {error}"))
    needed = [objective.metric for objective in space.objectives]
    if is_baseline:
        needed += [constraint.metric for constraint in space.constraints if constraint.is_relative]
    unknown = [f"{name} is not known: {_why(outcome, name)}" for name in needed if name not in outcome.values()]
    if unknown:
        return replace(outcome, failure=Failure("objective unknown", "; ".join(unknown)))
    return outcome


def _storable(text: str) -> str:
    """The text without halves of characters, as a file's name that is no UTF-8 brings them; no JSON can hold those."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _fault(name: str, metric: Measurement) -> str:
    """What is wrong with a metric's value, or with the ends of its interval; empty when nothing is."""
    value = metric.value
    if value is None:
        return ""
    for number in (value, metric.low, metric.high, metric.n):
        if number is not None and (fault := _number_fault(number)):
            return fault
    if name == "accuracy" and not 0 <= value <= 1:
        return f"{value:g}, expected a ratio in [0, 1]"
    if value < 0:
        return f"{value:g}, expected no negative number"
    if value == 0 and name in METRICS and METRICS[name].unit in _NEVER_ZERO:
        return f"{value:g}, expected more than 0 {METRICS[name].unit}"
    return ""


def _number_fault(value: object) -> str:
    """What is wrong with a number; empty when nothing is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{reprlib.repr(value)}, expected a number"
    # Not for a NaN; and a whole number may be larger than any float.
    if not abs(value) <= sys.float_info.max:
        return f"{reprlib.repr(value)}, expected a finite number"
    if abs(value) > LARGEST_MEASURED:
        return f"{value:g}, expected at most {LARGEST_MEASURED:g}"
    return ""


def _why(outcome: TrialOutcome, name: str) -> str:
    measurement = outcome.metrics.get(name)
    return (measurement.why if measurement is not None else None) or "it was not measured"
