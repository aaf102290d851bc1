"""Racing: decide after a short measurement whether a trial can still reach the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from explorer.metrics import Constraint, Direction, Objective
from explorer.pareto.front import front_mask
from explorer.pareto.membership import may_belong, optimistic
from explorer.records import Measurement
from explorer.space.values import SearchSpace
from explorer.study.evaluation import CanReachFront
from explorer.study.result import TrialRecord


def always(metrics: Mapping[str, Measurement]) -> bool:
    """Give the whole timing budget: for the baseline, with which everything is compared."""
    return True


@final
class Racing:
    """The front that the next trial must reach. Adding a trial costs one comparison with the front."""

    def __init__(self, space: SearchSpace) -> None:
        self._constraints = space.constraints
        self._objectives = space.objectives
        self._front = np.empty((0, len(space.objectives)))
        self._baseline: Mapping[str, float] = {}

    def add(self, trial: TrialRecord) -> None:
        """Add a finished trial; only valid feasible ones with all objectives can dominate others."""
        values = trial.values()
        if trial.number == 0 and trial.state != "failed":
            self._baseline = values
        if trial.is_feasible and all(objective.metric in values for objective in self._objectives):
            point = [values[objective.metric] for objective in self._objectives]
            points = np.unique(np.vstack([self._front, point]), axis=0)
            # Whatever a dominated point dominates, a front point dominates too: only the front is stored.
            self._front = points[front_mask(points, _directions(self._objectives))]

    def rule(self) -> CanReachFront:
        """Return the rule for the next trial's metrics.

        The rule is True when, at the best ends of their intervals, they satisfy every constraint and no trial added so
        far dominates them. An unknown metric gives True: a percentile may become known.
        """
        front, baseline = self._front, self._baseline

        def can_reach_front(metrics: Mapping[str, Measurement]) -> bool:
            if any(_breaks(bound, metrics, baseline) for bound in self._constraints):
                return False
            measured = [metrics.get(objective.metric, Measurement(None)) for objective in self._objectives]
            if any(one.value is None for one in measured):
                return True
            values, low, high = np.array([(one.value, one.low, one.high) for one in measured], dtype=np.float64).T
            corner = optimistic(values, low, high, _directions(self._objectives))
            return not np.isfinite(corner).all() or bool(may_belong([corner], front, _directions(self._objectives))[0])

        return can_reach_front


def _breaks(bound: Constraint, metrics: Mapping[str, Measurement], baseline: Mapping[str, float]) -> bool:
    """Return whether the constraint is broken even at the better end of the metric's interval."""
    measured = metrics.get(bound.metric)
    if measured is None or measured.value is None:
        return False
    end = measured.low if bound.comparison == "<=" else measured.high
    return bound.violation({bound.metric: measured.value if end is None else end}, baseline) > 0


def _directions(objectives: Sequence[Objective]) -> list[Direction]:
    return [objective.direction for objective in objectives]
