"""Feasibility: which trials satisfy the constraints, which may, and how probably they are on the front then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.errors import UsageError
from explorer.intervals import Z
from explorer.metrics import Constraint, Direction, is_constant
from explorer.pareto.front import front_mask
from explorer.pareto.membership import membership
from explorer.records import Measurement
from explorer.study.bootstrap import deviation
from explorer.study.result import StudyResult, TrialRecord


def directions_of(result: StudyResult) -> tuple[Direction, ...]:
    """The direction of each objective."""
    return tuple(objective.direction for objective in result.objectives)


def feasible_trials(
    result: StudyResult, where: Sequence[Constraint] = (), allow_invalid: bool = False
) -> tuple[TrialRecord, ...]:
    """The trials that satisfy the study's constraints and those of `where`, and that know every objective.

    With `allow_invalid` also those whose measurements cannot be believed.
    Raises UsageError for a bound relative to a baseline that the study does not have.
    """
    baseline = result.baseline_values()
    wanted = {objective.metric for objective in result.objectives}
    kept = []
    for trial in result.trials:
        is_taken = trial.is_feasible or (allow_invalid and trial.state == "invalid" and not trial.broken())
        if is_taken and wanted <= trial.values().keys():
            kept.append(trial)
    return within(kept, where, baseline)


def within(
    trials: Iterable[TrialRecord], where: Sequence[Constraint], baseline: Mapping[str, float]
) -> tuple[TrialRecord, ...]:
    """Those of the trials whose values satisfy `where`."""
    return tuple(t for t in trials if all(_excess(bound, t.values(), baseline) <= 0 for bound in where))


def objective_points(result: StudyResult, trials: Sequence[TrialRecord]) -> NDArray[np.float64]:
    """The objectives [n, m] of `trials`, each of which must know all of them, in the metrics' own units."""
    metrics = [objective.metric for objective in result.objectives]
    rows = [[trial.outcome.metrics[metric].value for metric in metrics] for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(metrics))


def value_front(result: StudyResult, trials: Sequence[TrialRecord]) -> NDArray[np.bool_]:
    """Which of `trials` are on the front of those of them that satisfy the study's constraints, as booleans [n]."""
    mask = np.array([not trial.broken() for trial in trials], dtype=np.bool_)
    mask[mask] = front_mask(objective_points(result, trials)[mask], directions_of(result))
    return mask


def total_deviation(trial: TrialRecord, metric: str, between: float = 0.0) -> float:
    """The standard deviation of a trial's metric: that of its interval, and `between` processes that of this share of
    its value, unless the metric is the same in all of them.
    """
    measured = trial.outcome.metrics.get(metric, Measurement(None))
    beside = 0.0 if is_constant(metric) or measured.value is None else between * measured.value
    return math.hypot(deviation(measured), beside)


def possible_trials(result: StudyResult, between: float = 0.0) -> tuple[TrialRecord, ...]:
    """The valid trials that know every objective and satisfy every constraint at the better end of what it bounds.

    `between` as in `total_deviation`, also for the baseline, whose value may be the bound.
    """
    wanted = {objective.metric for objective in result.objectives}
    return tuple(
        trial
        for trial in result.trials
        if trial.state in ("complete", "infeasible")
        and wanted <= trial.values().keys()
        and all(amount <= uncertain for amount, uncertain in _violations(result, trial, between))
    )


def is_surely_feasible(result: StudyResult, trial: TrialRecord, between: float = 0.0) -> bool:
    """Whether a valid trial satisfies every constraint even at the worse end of what it bounds."""
    return all(amount <= -uncertain for amount, uncertain in _violations(result, trial, between))


Draw = Callable[[Sequence[TrialRecord], Sequence[str]], NDArray[np.float64]]
"""Makes bootstrap samples [d, trials, metrics] of trials and metrics."""


def sampled_memberships(result: StudyResult, candidates: Sequence[TrialRecord], draw: Draw) -> NDArray[np.float64]:
    """How probably each of n candidates is on the front [n], as a ratio.

    In a sample in which a candidate breaks a constraint it is no member, and dominates none.
    """
    objectives, holds = sampled_objectives(result, candidates, draw)
    return membership(objectives, directions_of(result), holds)


def sampled_objectives(
    result: StudyResult, candidates: Sequence[TrialRecord], draw: Draw
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Samples of the objectives of n candidates [d, n, m], and in which a candidate satisfies every constraint [d, n].

    The baseline is drawn along where a constraint compares with it.
    """
    bounds, baseline = result.space.constraints, result.baseline
    trials = list(candidates)
    if baseline is not None and baseline not in trials and any(bound.is_relative for bound in bounds):
        trials.append(baseline)
    metrics = list(dict.fromkeys([*(one.metric for one in result.objectives), *(bound.metric for bound in bounds)]))
    samples = draw(trials, metrics)
    holds = np.ones(samples.shape[:2], dtype=np.bool_)
    for bound in bounds:
        column = samples[:, :, metrics.index(bound.metric)]
        limit = np.full((len(samples), 1), bound.bound)
        if bound.is_relative:
            if baseline is None:
                continue  # there is nothing to compare with
            drawn = column[:, [trials.index(baseline)]]
            limit = bound.bound * np.where(np.isnan(drawn), result.baseline_values()[bound.metric], drawn)
        holds &= column <= limit if bound.comparison == "<=" else column >= limit
    n = len(candidates)
    return samples[:, :n, : len(result.objectives)], holds[:, :n]


def _violations(result: StudyResult, trial: TrialRecord, between: float) -> list[tuple[float, float]]:
    """By how much the trial is beyond each bound that it was judged by, and half the 95 % interval of that."""
    bounds = {str(bound): bound for bound in result.space.constraints}
    return [
        (amount, _uncertainty(result, trial, bounds[text], between) if text in bounds else 0.0)
        for text, amount in trial.violations.items()
    ]


def _uncertainty(result: StudyResult, trial: TrialRecord, bound: Constraint, between: float) -> float:
    """Half the 95 % interval of what separates the trial from the bound."""
    own = total_deviation(trial, bound.metric, between)
    if not bound.is_relative or result.baseline is None:
        return Z * own
    return Z * math.hypot(own, bound.bound * total_deviation(result.baseline, bound.metric, between))


def _excess(bound: Constraint, values: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """How far `values` is beyond `bound`; a relative bound without a baseline is the caller's mistake."""
    if bound.is_relative and bound.metric not in baseline:
        raise UsageError(
            f"`{bound}` needs the baseline's {bound.metric}, but trial 0 has none: give the bound as a number"
        )
    return bound.violation(values, baseline)
