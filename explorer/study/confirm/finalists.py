"""Select the finalists: trials that may belong to the front, by the search's own measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.metrics import is_constant
from explorer.pareto.membership import may_belong, optimistic
from explorer.records import Measurement
from explorer.study.bootstrap import N_BOOTSTRAP, bootstrap_scores, deviation
from explorer.study.confirm.confirmation import Finalist, PackedScores
from explorer.study.feasibility import (
    directions_of,
    is_surely_feasible,
    objective_points,
    possible_trials,
    sampled_memberships,
    total_deviation,
    value_front,
)
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.samples import trial_samples
from explorer.system.hashing import derived_seed

MAX_FINALISTS = 16
"""Maximum beyond the baseline: five rounds of so many take some minutes. A larger front of the search is taken
whole.
"""

MIN_PROBABILITY = 0.025

BETWEEN_PROCESSES = 0.02
"""Standard deviation between processes that time the same artifact, as a ratio. Memory layout and the machine's other
work are the same for all queries of one process, so no interval from inside it covers them. On small shared machines
medians of fresh processes differ by 2 to 5 %.
"""

_FAR = 4.0
"""Trials that are dominated even when so many standard deviations better are not drawn."""


_SAME_MEAN = 1e-5
"""Relative and absolute difference up to which the mean of scores is the trial's value."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The finalists, baseline first, and the numbers of equally possible trials beyond the maximum."""

    finalists: tuple[Finalist, ...]
    left_out: tuple[int, ...]


def select_finalists(result: StudyResult, seed: int) -> Selection:
    """Select the baseline, the search's front, and the most probable others, at most MAX_FINALISTS.

    Others are valid trials that are feasible and on the front with a probability of at least MIN_PROBABILITY. The test
    split is not used.
    """
    candidates = _near(result, possible_trials(result, BETWEEN_PROCESSES))
    drawn = candidates if result.baseline is None else [*candidates, result.baseline]
    scores = {trial.number: validation_scores(result, trial) for trial in drawn}
    generator = np.random.default_rng(derived_seed(seed, "finalists"))
    probabilities = sampled_memberships(
        result,
        candidates,
        lambda trials, metrics: _bootstrap_samples(
            result, trials, [scores[t.number] for t in trials], metrics, generator
        ),
    )
    is_on_front = value_front(result, candidates)
    order = sorted(range(len(candidates)), key=lambda i: (not is_on_front[i], -probabilities[i], candidates[i].number))
    is_possible = is_on_front | (probabilities >= MIN_PROBABILITY)
    possible = [i for i in order if is_possible[i] and candidates[i].number != 0]
    n_chosen = max(MAX_FINALISTS, sum(bool(is_on_front[i]) for i in possible))
    chosen = [_finalist(candidates[i], scores[candidates[i].number]) for i in possible[:n_chosen]]
    if result.baseline is not None:
        chosen.insert(0, _finalist(result.baseline, scores[result.baseline.number]))
    return Selection(tuple(chosen), tuple(candidates[i].number for i in possible[n_chosen:]))


def validation_scores(result: StudyResult, trial: TrialRecord) -> dict[str, NDArray[np.float64]]:
    """Return the trial's stored scores [n] on the validation examples by metric.

    Empty when they are missing; without the metrics whose value is not the scores' mean.
    """
    samples, values = trial_samples(result, trial), trial.values()
    if isinstance(samples, str):
        return {}
    return {
        name: scores
        for name, scores in samples.scores.items()
        if name in values and math.isclose(scores.mean(), values[name], rel_tol=_SAME_MEAN, abs_tol=_SAME_MEAN)
    }


def _finalist(trial: TrialRecord, scores: Mapping[str, NDArray[np.float64]]) -> Finalist:
    packed = {name: PackedScores.of(of_each) for name, of_each in scores.items()}
    return Finalist(trial.number, str(trial.outcome.artifact), packed)


def _near(result: StudyResult, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that no surely feasible trial dominates by far, so that thousands need not be drawn."""
    directions = directions_of(result)
    points = objective_points(result, trials)
    sure = objective_points(result, [t for t in trials if is_surely_feasible(result, t, BETWEEN_PROCESSES)])
    deviations = [total_deviation(t, o.metric, BETWEEN_PROCESSES) for t in trials for o in result.objectives]
    far = _FAR * np.array(deviations).reshape(points.shape)
    is_near = may_belong(optimistic(points, points - far, points + far, directions), sure, directions)
    return [trial for trial, near in zip(trials, is_near, strict=True) if near]


def _bootstrap_samples(
    result: StudyResult,
    trials: Sequence[TrialRecord],
    scores: Sequence[Mapping[str, NDArray[np.float64]]],
    metrics: Sequence[str],
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return samples [d, n, m] of metrics: one process per trial for all timed metrics, and each metric's own interval.

    NaN where a metric is unknown.
    """
    process = 1.0 + BETWEEN_PROCESSES * generator.standard_normal((N_BOOTSTRAP, len(trials)))
    qualities = {metric.name: metric for metric in result.task.metrics}
    columns = []
    for metric in metrics:
        measured = [trial.outcome.metrics.get(metric, Measurement(None)) for trial in trials]
        values = np.array([one.value for one in measured], dtype=np.float64)
        if metric in qualities:
            own = [of_trial.get(metric) for of_trial in scores]
            columns.append(bootstrap_scores(measured, own, qualities[metric].bounds, generator))
        elif is_constant(metric):
            columns.append(np.tile(values, (N_BOOTSTRAP, 1)))
        else:
            inside = generator.standard_normal(process.shape) * [deviation(one) for one in measured]
            columns.append(values * process + inside)
    return np.stack(columns, axis=2)
