"""Confirmed values: what the rounds of a confirmation say of each finalist, judged by the study's constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explorer.measure.intervals import student
from explorer.records import Measurement
from explorer.study.confirmation import Confirmation, Take
from explorer.study.draws import CONSTANT, accuracy_draws, round_draws
from explorer.study.judge import judge
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.seeds import derived_seed

MEDIAN_WIDENS = math.sqrt(math.pi / 2)
"""A median of normal values scatters so much more than their mean (its limit for many; for few it is a little less)."""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A finalist without confirmed values that could be on the front, and why, in a sentence."""

    trial: int
    why: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The finalists as trials of a study that has only them, with confirmed values and states that follow from these.

    A baseline without confirmed values keeps the search's, to be compared with, and is invalid. `unconfirmed` are the
    finalists that could not be confirmed, or whose confirmed values break a constraint.
    """

    result: StudyResult
    unconfirmed: tuple[Unconfirmed, ...]


def confirmed(result: StudyResult, confirmation: Confirmation) -> Confirmed:
    """The finalists of `result` with their confirmed values."""
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


def confirmed_draws(
    confirmation: Confirmation, trials: Sequence[TrialRecord], metrics: Sequence[str]
) -> NDArray[np.float64]:
    """Metrics [d, n, m] of finalists, drawn from rounds and validation images together; NaN where no round has one."""
    generator = np.random.default_rng(derived_seed(confirmation.seed, "membership"))
    hits = {finalist.trial: finalist.hits() for finalist in confirmation.finalists}
    values = np.full((len(confirmation.rounds), len(trials), len(metrics)), np.nan)
    for place, trial in enumerate(trials):
        for index, take in enumerate(confirmation.takes(trial.number)):
            values[index, place] = [_value(take, trial, metric) for metric in metrics]
    drawn = round_draws(values, generator)
    if "accuracy" in metrics:
        accuracies = [trial.outcome.metrics.get("accuracy", Measurement(None)) for trial in trials]
        drawn[:, :, metrics.index("accuracy")] = accuracy_draws(
            accuracies, [hits.get(t.number) for t in trials], generator
        )
    return drawn


def over_rounds(measured: Sequence[Measurement]) -> Measurement:
    """The median of a metric over rounds, with a 95 % interval, and the number of rounds that know it.

    The interval is Student's of a mean, sqrt(pi / 2) times as wide for a median: exact for no distribution, but with 3
    to 10 rounds of normal, exponential and heavy-tailed (t, 3 degrees of freedom) values it holds the true median in 95
    to 98 % of the cases, which neither order statistics (94 % at most with 5) nor a plain bootstrap do.
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
    """Whether more rounds will give confirmed values to no other finalist: each has them, or failed in every round.

    False where all failed: nothing is confirmed then.
    """
    numbers = [finalist.trial for finalist in confirmation.finalists]
    without = [number for number in numbers if _why_not(confirmation, number)]
    takes = [take for number in without for take in confirmation.takes(number)]
    return len(without) < len(numbers) and all(take is not None and take.failure is not None for take in takes)


def _why_not(confirmation: Confirmation, number: int) -> str:
    """Why a finalist has no confirmed values; empty when it has: when most rounds are valid."""
    takes = confirmation.takes(number)
    bad = [take for take in takes if take is None or not take.is_valid]
    if takes and 2 * len(bad) < len(takes):
        return ""
    last = next((take for take in reversed(bad) if take is not None), None)
    if last is None:
        return "it was not measured again"
    reason = last.failure.reason if last.failure is not None else "; ".join(last.invalid)
    return f"{len(bad)} of {len(takes)} rounds gave no valid measurement, the last because: {reason}"


def _confirmed(
    trial: TrialRecord, confirmation: Confirmation, result: StudyResult, baseline: Mapping[str, float] | None
) -> tuple[TrialRecord, str]:
    """The trial with its confirmed metrics, judged anew; and why that cannot be had, empty when it can.

    `baseline` are the confirmed baseline's metrics; None for the baseline itself, and where there is none.
    """
    if why := _why_not(confirmation, trial.number):
        return trial, why
    takes = [take for take in confirmation.takes(trial.number) if take is not None and take.is_valid]
    names = dict.fromkeys([*trial.outcome.metrics, *(name for take in takes for name in take.metrics)])
    metrics = {
        name: trial.outcome.metrics[name]
        if name in CONSTANT and name in trial.outcome.metrics
        else over_rounds([take.metrics[name] for take in takes if name in take.metrics])
        for name in names
    }
    # A round is brief, and has too few samples for some percentiles that the search knows: those stay the search's.
    for name, found in metrics.items():
        if found.value is None:
            metrics[name] = trial.outcome.metrics.get(name, found)
    against = result.baseline_values() if baseline is None and trial.number else baseline
    state, checked, violations = judge(replace(trial.outcome, metrics=metrics, invalid=()), result.space, against)
    if checked.failure is not None:
        return trial, checked.failure.reason
    return replace(trial, state=state, outcome=checked, violations=violations), ""


def _value(take: Take | None, trial: TrialRecord, metric: str) -> float:
    """A trial's metric in one round; NaN where that round has none that is valid."""
    if metric in CONSTANT:
        value = trial.values().get(metric)
    else:
        known = take.metrics.get(metric) if take is not None and take.is_valid else None
        value = None if known is None else known.value
    return math.nan if value is None else value
