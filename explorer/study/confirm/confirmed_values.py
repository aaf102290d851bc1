"""Confirmed values: the metrics of each finalist over the rounds of a confirmation, and its verdict by them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explorer.intervals import student
from explorer.metrics import is_constant
from explorer.records import Measurement
from explorer.study.bootstrap import bootstrap_rounds, bootstrap_scores
from explorer.study.confirm.confirmation import Confirmation, Repeat
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.verdict import judge
from explorer.system.hashing import derived_seed

MEDIAN_WIDENS = math.sqrt(math.pi / 2)
"""Ratio of the standard errors of median and mean for many normal values; for few it is a little smaller."""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A finalist without confirmed values on the front, and the reason."""

    trial: int
    why: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The finalists as a study's result, with confirmed values and the states that follow from them.

    A baseline without confirmed values has the search's, for comparisons, and is invalid. `unconfirmed` lists finalists
    that could not be confirmed, or whose confirmed values break a constraint.
    """

    result: StudyResult
    unconfirmed: tuple[Unconfirmed, ...]


def confirmed(result: StudyResult, confirmation: Confirmation) -> Confirmed:
    """Return the finalists of `result` with their confirmed values."""
    trials, unconfirmed = [], []
    baseline: Mapping[str, float] | None = None
    for number in sorted(finalist.trial for finalist in confirmation.finalists):
        searched = result.trial(number)
        if searched is None:
            continue
        trial, why = _confirmed(searched, confirmation, result, baseline)
        if why and number == 0:
            trial = replace(searched, state="invalid")
        if number == 0:
            baseline = trial.values()
        if why or (trial.broken() and (searched.is_feasible or number != 0)):
            broken = " and ".join(f"`{text}`" for text in trial.broken())
            unconfirmed.append(Unconfirmed(number, why or f"its confirmed values break {broken}"))
        if not why or number == 0:
            trials.append(trial)
    return Confirmed(replace(result, trials=tuple(trials)), tuple(unconfirmed))


def confirmed_samples(
    finalists: StudyResult, trials: Sequence[TrialRecord], metrics: Sequence[str]
) -> NDArray[np.float64]:
    """Return bootstrap samples [d, n, m] of the metrics, over rounds and validation examples; NaN where unknown.

    `finalists` is the result of `confirmed`, to which `trials` belong.
    """
    confirmation = finalists.confirmation
    assert confirmation is not None
    generator = np.random.default_rng(derived_seed(confirmation.seed, "membership"))
    scores = {finalist.trial: finalist.scores() for finalist in confirmation.finalists}
    values = np.full((len(confirmation.rounds), len(trials), len(metrics)), np.nan)
    for place, trial in enumerate(trials):
        for index, repeat in enumerate(confirmation.repeats(trial.number)):
            values[index, place] = [_value(repeat, trial, metric) for metric in metrics]
    drawn = bootstrap_rounds(values, generator)
    for quality in finalists.task.metrics:
        if quality.name in metrics:
            known = [trial.outcome.metrics.get(quality.name, Measurement(None)) for trial in trials]
            own = [scores.get(trial.number, {}).get(quality.name) for trial in trials]
            drawn[:, :, metrics.index(quality.name)] = bootstrap_scores(known, own, quality.bounds, generator)
    return drawn


def over_rounds(measured: Sequence[Measurement]) -> Measurement:
    """Return the median of a metric over rounds, with a 95 % interval, and the number of rounds that have it.

    The interval is Student's of a mean, widened by sqrt(pi / 2) for a median. It is exact for no distribution, but with
    3 to 10 rounds of normal, exponential and heavy-tailed (t, 3 degrees of freedom) values it contains the true median
    in 95 to 98 % of the cases, unlike order statistics (94 % at most with 5) or a plain bootstrap.
    """
    values = np.array([one.value for one in measured if one.value is not None], dtype=np.float64)
    if not len(values):
        return Measurement.unknown(next((one.why for one in measured if one.why), "no round knows it"))
    value = float(np.median(values))
    if len(values) < 2:
        return Measurement(value, n=1)
    half = MEDIAN_WIDENS * student(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Measurement(value, max(0.0, value - half), value + half, len(values))


def is_decided(confirmation: Confirmation) -> bool:
    """Return whether each finalist has confirmed values or failed in every round, so that more rounds confirm no other.

    False where all failed: then nothing is confirmed.
    """
    numbers = [finalist.trial for finalist in confirmation.finalists]
    without = [number for number in numbers if _why_not(confirmation, number)]
    repeats = [repeat for number in without for repeat in confirmation.repeats(number)]
    return len(without) < len(numbers) and all(repeat is not None and repeat.failure is not None for repeat in repeats)


def _why_not(confirmation: Confirmation, number: int) -> str:
    """Return why a finalist has no confirmed values; "" when it has: most of its rounds are valid."""
    repeats = confirmation.repeats(number)
    bad = [repeat for repeat in repeats if repeat is None or not repeat.is_valid]
    if repeats and 2 * len(bad) < len(repeats):
        return ""
    last = next((repeat for repeat in reversed(bad) if repeat is not None), None)
    if last is None:
        return "it was not measured again"
    reason = last.failure.reason if last.failure is not None else "; ".join(last.invalid)
    return f"{len(bad)} of {len(repeats)} rounds gave no valid measurement, the last because: {reason}"


def _confirmed(
    trial: TrialRecord, confirmation: Confirmation, result: StudyResult, baseline: Mapping[str, float] | None
) -> tuple[TrialRecord, str]:
    """Return the trial with confirmed metrics and a new verdict; and why there are none, "" when there are.

    `baseline` are the confirmed baseline's metrics; None for the baseline itself, and without one.
    """
    if why := _why_not(confirmation, trial.number):
        return trial, why
    repeats = [repeat for repeat in confirmation.repeats(trial.number) if repeat is not None and repeat.is_valid]
    names = dict.fromkeys([*trial.outcome.metrics, *(name for repeat in repeats for name in repeat.metrics)])
    metrics = {
        name: trial.outcome.metrics[name]
        if is_constant(name) and name in trial.outcome.metrics
        else over_rounds([repeat.metrics[name] for repeat in repeats if name in repeat.metrics])
        for name in names
    }
    # A round is brief, with too few samples for some percentiles that the search has: those stay the search's.
    for name, found in metrics.items():
        if found.value is None:
            metrics[name] = trial.outcome.metrics.get(name, found)
    against = result.baseline_values() if baseline is None and trial.number else baseline
    state, checked, violations = judge(replace(trial.outcome, metrics=metrics, reasons=()), result.space, against)
    if checked.failure is not None:
        return trial, checked.failure.reason
    return replace(trial, state=state, outcome=checked, violations=violations), ""


def _value(repeat: Repeat | None, trial: TrialRecord, metric: str) -> float:
    """Return a trial's metric in one round; NaN without a valid one."""
    if is_constant(metric):
        value = trial.values().get(metric)
    else:
        known = repeat.metrics.get(metric) if repeat is not None and repeat.is_valid else None
        value = None if known is None else known.value
    return math.nan if value is None else value
