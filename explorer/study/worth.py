"""Worth: whether a trial that was measured briefly may still be among the best, and so deserves the whole budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.objectives import Constraint, Direction, Objective
from explorer.pareto.reach import may_belong, optimistic
from explorer.records import Measurement
from explorer.study.evaluation import IsWorthMore
from explorer.study.result import StudyResult


def always(metrics: Mapping[str, Measurement]) -> bool:
    """For the baseline, with which everything is compared: the whole budget in any case."""
    return True


def worth_beside(result: StudyResult) -> IsWorthMore:
    """Tells of a new trial's metrics whether, at the best ends of their intervals, it satisfies every constraint and no
    valid feasible trial of `result` dominates it.

    A metric that is not known yet speaks for more: a percentile may become known.
    """
    objectives = result.objectives
    known = [trial.values() for trial in result.trials if trial.is_feasible]
    others = _points([values for values in known if all(o.metric in values for o in objectives)], objectives)
    baseline, constraints = result.baseline_values(), result.space.constraints

    def is_worth_more(metrics: Mapping[str, Measurement]) -> bool:
        if any(_breaks(bound, metrics, baseline) for bound in constraints):
            return False
        measured = [metrics.get(objective.metric, Measurement(None)) for objective in objectives]
        if any(one.value is None for one in measured):
            return True
        corner = _corner(measured, objectives)
        return not np.isfinite(corner).all() or bool(may_belong([corner], others, _directions(objectives))[0])

    return is_worth_more


def _breaks(bound: Constraint, metrics: Mapping[str, Measurement], baseline: Mapping[str, float]) -> bool:
    """Whether the constraint is broken even at the better end of the metric's interval."""
    measured = metrics.get(bound.metric)
    if measured is None or measured.value is None:
        return False
    end = measured.low if bound.comparison == "<=" else measured.high
    return bound.violation({bound.metric: measured.value if end is None else end}, baseline) > 0


def _corner(measured: Sequence[Measurement], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """The best end of each metric's interval [m]."""
    values, low, high = (
        [math.nan if end is None else end for end in column]
        for column in ([m.value for m in measured], [m.low for m in measured], [m.high for m in measured])
    )
    return optimistic(values, low, high, _directions(objectives))


def _points(rows: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    points = [[values[objective.metric] for objective in objectives] for values in rows]
    return np.array(points, dtype=np.float64).reshape(len(rows), len(objectives))


def _directions(objectives: Sequence[Objective]) -> list[Direction]:
    return [objective.direction for objective in objectives]
