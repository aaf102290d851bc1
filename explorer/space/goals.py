"""Goals: the `objectives` and `constraints` of a search space, as values."""

from __future__ import annotations

from typing import Any

from explorer.objectives import METRICS, Constraint, Objective
from explorer.space.limits import check_limits, constraint
from explorer.space.refusal import Refused, check_choice, described, listed, nearest, quoted


def read_objectives(raw: Any) -> tuple[Objective, ...]:
    """The objectives of a mapping from metric to direction. Raises Refused."""
    if not isinstance(raw, dict):
        raise Refused(f"expected a mapping such as 'accuracy: maximize', got {described(raw)}")
    if not raw:
        raise Refused(f"expected at least one objective, such as 'accuracy: maximize'; the metrics are {_METRICS}")
    return tuple(_objective(metric, direction) for metric, direction in raw.items())


def _objective(name: str, direction: Any) -> Objective:
    metric = METRICS.get(name)
    if metric is None:
        raise Refused(
            f"{quoted(name)} is no metric; the metrics are {_METRICS}",
            at=(name,),
            hint=nearest(name, METRICS),
            is_key=True,
        )
    if direction is None:
        raise Refused(f"the direction is missing; write '{name}: {metric.direction}'", at=(name,), is_key=True)
    try:
        check_choice(direction, ("minimize", "maximize"), "a direction")
    except Refused as refused:
        raise refused.under(name) from None
    if direction != metric.direction:
        raise Refused(
            f"{direction} is the worse direction of this metric; write '{name}: {metric.direction}'", at=(name,)
        )
    return Objective(name, metric.direction)


def read_constraints(raw: Any) -> tuple[Constraint, ...]:
    """The constraints of a list of expressions. Raises Refused, also when two of them contradict each other."""
    if not isinstance(raw, list):
        raise Refused(f"expected a list of lines such as '- latency_ms <= 1.5', got {described(raw)}")
    limits = []
    for index, text in enumerate(raw):
        try:
            limits.append(constraint(text))
        except Refused as refused:
            raise refused.under(index) from None
    check_limits(limits)
    return tuple(limits)


_METRICS = listed(METRICS, "and")
