"""Judge: what an outcome means for a study: a result or none, believed or not, feasible or not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from explorer.objectives import Constraint
from explorer.records import Failure, Measurement, TrialOutcome, TrialState
from explorer.space.values import SearchSpace

_LARGEST_SHARE = 1e6
"""Samplers compare violations and some of them standardize: infinity would hide every difference."""


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
    if outcome.failure is not None:
        return outcome
    faults = {name: fault for name, metric in outcome.metrics.items() if (fault := _fault(name, metric.value))}
    if faults:
        metrics = {
            name: Measurement.unknown(f"invalid value: {faults[name]}") if name in faults else metric
            for name, metric in outcome.metrics.items()
        }
        reason = "; ".join(f"{name} is {fault}" for name, fault in sorted(faults.items()))
        return replace(outcome, metrics=metrics, failure=Failure("invalid value", reason))
    try:
        json.dumps(outcome.details, allow_nan=False)
    except (TypeError, ValueError) as error:
        return replace(outcome, details={}, failure=Failure("invalid value", f"the trial's details: {error}"))
    needed = [objective.metric for objective in space.objectives]
    if is_baseline:
        needed += [constraint.metric for constraint in space.constraints if constraint.is_relative]
    unknown = [f"{name} is not known: {_why(outcome, name)}" for name in needed if name not in outcome.values()]
    if unknown:
        return replace(outcome, failure=Failure("objective unknown", "; ".join(unknown)))
    return outcome


def _fault(name: str, value: object) -> str:
    """What is wrong with a metric's value; empty when nothing is."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{value!r}, expected a number"
    if not math.isfinite(value):
        return f"{value}, expected a finite number"
    if value < 0 or (name == "accuracy" and value > 1):
        return f"{value:g}, expected {'a ratio in [0, 1]' if name == 'accuracy' else 'no negative number'}"
    return ""


def _why(outcome: TrialOutcome, name: str) -> str:
    measurement = outcome.metrics.get(name)
    return (measurement.why if measurement is not None else None) or "it was not measured"
