"""Finalists: the trials that may belong to the front, by the search's own measurements of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.pareto.reach import may_belong, optimistic
from explorer.records import Measurement
from explorer.study.confirmation import Finalist, packed_hits
from explorer.study.draws import CONSTANT, N_DRAWS, accuracy_draws, deviation
from explorer.study.feasibility import (
    directions_of,
    drawn_memberships,
    is_surely_feasible,
    objective_points,
    possible_trials,
    total_deviation,
    value_front,
)
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.samples import trial_samples
from explorer.study.seeds import derived_seed

MAX_FINALISTS = 16
"""Beyond the baseline. Five rounds of so many take some minutes. A larger front of the search is taken whole."""

MIN_PROBABILITY = 0.025

BETWEEN_PROCESSES = 0.02
"""Standard deviation, as a share of the value, between processes that time the same artifact: where its memory comes to
lie and what the machine does meanwhile are the same for all queries of one process, so no interval from inside it has
them. On small shared machines medians of fresh processes differ by 2 to 5 %."""

_FAR = 4.0
"""A trial that is dominated even when it is so many standard deviations better need not be drawn."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The finalists, baseline first, and the numbers of those that are as possible but too many."""

    finalists: tuple[Finalist, ...]
    left_out: tuple[int, ...]


def select_finalists(result: StudyResult, labels: NDArray[np.int64] | None, seed: int) -> Selection:
    """The baseline, the search's own front, and the other valid trials that are feasible and on the front with a
    probability of at least MIN_PROBABILITY, the most probable first, as long as there are no more than MAX_FINALISTS.

    `labels` [n] are those of the validation images, None when they are not at hand: accuracies are then not paired by
    image. The test split has no part in it.
    """
    candidates = _near(result, possible_trials(result, BETWEEN_PROCESSES))
    drawn = candidates if result.baseline is None else [*candidates, result.baseline]
    hits = {trial.number: validation_hits(result, trial, labels) for trial in drawn}
    generator = np.random.default_rng(derived_seed(seed, "finalists"))
    probabilities, _ = drawn_memberships(
        result, candidates, lambda trials, metrics: _draws(trials, [hits[t.number] for t in trials], metrics, generator)
    )
    is_on_front = value_front(result, candidates)
    order = sorted(range(len(candidates)), key=lambda i: (not is_on_front[i], -probabilities[i], candidates[i].number))
    is_possible = is_on_front | (probabilities >= MIN_PROBABILITY)
    possible = [i for i in order if is_possible[i] and candidates[i].number != 0]
    n_chosen = max(MAX_FINALISTS, sum(bool(is_on_front[i]) for i in possible))
    chosen = [_finalist(candidates[i], hits[candidates[i].number]) for i in possible[:n_chosen]]
    if result.baseline is not None:
        chosen.insert(0, _finalist(result.baseline, hits[result.baseline.number]))
    return Selection(tuple(chosen), tuple(candidates[i].number for i in possible[n_chosen:]))


def validation_hits(
    result: StudyResult, trial: TrialRecord, labels: NDArray[np.int64] | None
) -> NDArray[np.bool_] | None:
    """Which validation images the trial classified correctly [n], from its kept predictions.

    None when those or the labels are not at hand, or do not give the trial's accuracy.
    """
    samples = trial_samples(result, trial)
    if labels is None or isinstance(samples, str) or samples.predictions.shape != labels.shape:
        return None
    hits: NDArray[np.bool_] = samples.predictions == labels
    is_its_own = abs(float(hits.mean()) - trial.values().get("accuracy", -1.0)) < 0.5 / len(labels)
    return hits if is_its_own else None


def _finalist(trial: TrialRecord, hits: NDArray[np.bool_] | None) -> Finalist:
    if hits is None:
        return Finalist(trial.number, str(trial.outcome.artifact))
    return Finalist(trial.number, str(trial.outcome.artifact), packed_hits(hits), len(hits))


def _near(result: StudyResult, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that none dominates by far that is feasible in any case, so that thousands need not be drawn."""
    directions = directions_of(result)
    points = objective_points(result, trials)
    sure = objective_points(result, [t for t in trials if is_surely_feasible(result, t, BETWEEN_PROCESSES)])
    deviations = [total_deviation(t, o.metric, BETWEEN_PROCESSES) for t in trials for o in result.objectives]
    far = _FAR * np.array(deviations).reshape(points.shape)
    is_near = may_belong(optimistic(points, points - far, points + far, directions), sure, directions)
    return [trial for trial, near in zip(trials, is_near, strict=True) if near]


def _draws(
    trials: Sequence[TrialRecord],
    hits: Sequence[NDArray[np.bool_] | None],
    metrics: Sequence[str],
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Metrics [d, n, m]: one process of each trial for all of its timed metrics, its interval for each of them.

    NaN: it is not known.
    """
    process = 1.0 + BETWEEN_PROCESSES * generator.standard_normal((N_DRAWS, len(trials)))
    columns = []
    for metric in metrics:
        measured = [trial.outcome.metrics.get(metric, Measurement(None)) for trial in trials]
        values = np.array([one.value for one in measured], dtype=np.float64)
        if metric == "accuracy":
            columns.append(accuracy_draws(measured, hits, generator))
        elif metric in CONSTANT:
            columns.append(np.tile(values, (N_DRAWS, 1)))
        else:
            inside = generator.standard_normal(process.shape) * [deviation(one) for one in measured]
            columns.append(values * process + inside)
    return np.stack(columns, axis=2)
