"""The verdict on an outcome: failed, invalid, infeasible or complete, and each constraint's violation."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from explorer.metrics import METRICS, Constraint
from explorer.records import Failure, Measurement, TrialOutcome, TrialState
from explorer.space.values import SearchSpace
from explorer.study.store.validation import LARGEST_MEASURED, storable

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
    if outcome.failure is not None:
        return replace(outcome, failure=_storable(outcome.failure))
    faults = {name: fault for name, metric in outcome.metrics.items() if (fault := _fault(name, metric))}
    if faults:
        unknown = {name: Measurement.unknown(f"invalid value: {fault.reason}") for name, fault in faults.items()}
        return replace(outcome, metrics={**outcome.metrics, **unknown}, failure=faults[min(faults)])
    needed = [objective.metric for objective in space.objectives]
    if is_baseline:
        needed += [constraint.metric for constraint in space.constraints if constraint.is_relative]
    for name in needed:
        measured = outcome.metrics.get(name, Measurement(None))
        if measured.value is None:
            why = measured.why or "it was not measured"
            return replace(outcome, failure=Failure("objective_unknown", {"metric": name, "why": why}))
    return outcome


def _storable(failure: Failure) -> Failure:
    """Return the failure with texts that can be stored."""
    values = {name: storable(value) if isinstance(value, str) else value for name, value in failure.values.items()}
    return Failure(failure.cause, values, storable(failure.log))


def _fault(name: str, metric: Measurement) -> Failure | None:
    """Return what is wrong with a metric's value or interval; None when nothing is."""
    value = metric.value
    if value is None:
        return None
    for number in (value, metric.low, metric.high, metric.n):
        if number is not None and (cause := _number_fault(number)):
            return Failure(cause, {"metric": name, "value": reprlib.repr(number)})
    unit, what = METRICS[name].unit if name in METRICS else "", {"metric": name, "value": f"{value:g}"}
    if unit == "ratio" and not 0 <= value <= 1:
        return Failure("no_ratio", what)
    if value < 0:
        return Failure("negative", what)
    if value == 0 and unit in _NEVER_ZERO:
        return Failure("not_above_0", {**what, "unit": unit})
    return None


def _number_fault(value: object) -> str:
    """Return the cause of a failure where `value` is no number that was measured; "" for others."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "no_number"
    # Not for a NaN; and a whole number may be larger than any float.
    if not abs(value) <= sys.float_info.max:
        return "not_finite"
    return "too_large" if abs(value) > LARGEST_MEASURED else ""
