"""The verdict on an outcome: failed, invalid, infeasible or complete, and each constraint's violation."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from explorer.metrics import METRICS, Constraint
from explorer.records import Failure, Measurement, TrialOutcome, TrialState
from explorer.space.values import SearchSpace
from explorer.study.store.validation import LARGEST_MEASURED

_LARGEST_SHARE = 1e6
"""Bound of violations: some samplers standardize them, and infinity would hide every difference."""

_NEVER_ZERO = ("ms", "1/s")
"""Units of times and rates, whose values are above 0."""


def judge(
    outcome: TrialOutcome, space: SearchSpace, baseline: Mapping[str, float] | None
) -> tuple[TrialState, TrialOutcome, dict[str, float]]:
    """Return the trial's state, its outcome with a failure where it has no result, and each constraint's violation.

    A failure precedes an invalid measurement, and that precedes violations, which are returned in any case. `baseline`
    are the baseline's metrics; None for the baseline itself, which is its own.
    """
    checked = _checked(outcome, space, is_baseline=baseline is None)
    if checked.failure is not None:
        return "failed", checked, {}
    values = checked.values()
    violations = {str(c): c.violation(values, values if baseline is None else baseline) for c in space.constraints}
    state: TrialState = "infeasible" if any(amount > 0 for amount in violations.values()) else "complete"
    if checked.reasons:
        state = "invalid"
    return state, checked, violations


def violation_shares(
    constraints: Sequence[Constraint], values: Mapping[str, float], baseline: Mapping[str, float]
) -> dict[str, float]:
    """Return each constraint's violation relative to its bound, bounded, so that units are comparable."""
    shares = {}
    for constraint in constraints:
        scale = abs(constraint.limit(baseline)) or 1.0
        share = constraint.violation(values, baseline) / scale
        shares[str(constraint)] = max(-_LARGEST_SHARE, min(_LARGEST_SHARE, share))
    return shares


def _checked(outcome: TrialOutcome, space: SearchSpace, is_baseline: bool) -> TrialOutcome:
    """Return the outcome, with a failure where a value is impossible or one that the study needs is unknown."""
    if (failure := outcome.failure) is not None:
        return replace(outcome, failure=Failure(*map(_storable, (failure.kind, failure.reason, failure.log))))
    faults = {name: fault for name, metric in outcome.metrics.items() if (fault := _fault(name, metric))}
    if faults:
        metrics = {
            name: Measurement.unknown(f"invalid value: {faults[name]}") if name in faults else metric
            for name, metric in outcome.metrics.items()
        }
        reason = "; ".join(f"{name} is {fault}" for name, fault in sorted(faults.items()))
        return replace(outcome, metrics=metrics, failure=Failure("invalid value", reason))
    needed = [objective.metric for objective in space.objectives]
    if is_baseline:
        needed += [constraint.metric for constraint in space.constraints if constraint.is_relative]
    unmeasured = Measurement.unknown("it was not measured")
    why = {name: outcome.metrics.get(name, unmeasured).why or unmeasured.why for name in needed}
    unknown = [f"{name} is not known: {why[name]}" for name in needed if name not in outcome.values()]
    if unknown:
        return replace(outcome, failure=Failure("objective unknown", "; ".join(unknown)))
    return outcome


def _storable(text: str) -> str:
    """Escape lone surrogates, as file names that are not UTF-8 have them; JSON cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _fault(name: str, metric: Measurement) -> str:
    """Return what is wrong with a metric's value or interval; "" when nothing is."""
    value = metric.value
    if value is None:
        return ""
    for number in (value, metric.low, metric.high, metric.n):
        if number is not None and (fault := _number_fault(number)):
            return fault
    unit = METRICS[name].unit if name in METRICS else ""
    if unit == "ratio" and not 0 <= value <= 1:
        return f"{value:g}, expected a ratio in [0, 1]"
    if value < 0:
        return f"{value:g}, expected no negative number"
    if value == 0 and unit in _NEVER_ZERO:
        return f"{value:g}, expected more than 0 {unit}"
    return ""


def _number_fault(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{reprlib.repr(value)}, expected a number"
    # Not for a NaN; and a whole number may be larger than any float.
    if not abs(value) <= sys.float_info.max:
        return f"{reprlib.repr(value)}, expected a finite number"
    if abs(value) > LARGEST_MEASURED:
        return f"{value:g}, expected at most {LARGEST_MEASURED:g}"
    return ""
