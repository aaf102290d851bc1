"""Compare: the difference of two trials in every metric, and whether it is more than the measurements' own noise.

Both trials were judged on the same images, and timed on the same images in the same order, so that differences are
taken image by image where the raw samples are there (a paired comparison). Where they are not, the interval of the
difference follows from the two intervals (MOVER, Zou & Donner 2008), which is wider. All intervals have 95 %, and cover
the noise within one measurement; that from one measurement to the next is not in them. It is in those of confirmed
values, which are medians over rounds: two confirmed finalists are compared by these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure.intervals import Z, paired_share_difference
from explorer.records import Measurement
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.samples import Samples, trial_samples
from explorer.views.detail import metrics_of
from explorer.views.page_columns import known
from explorer.views.shown import Shown, shown_study
from explorer.views.wording import better_direction

EXACT = "exact: both are counted, not sampled"
MOVER = "from the two 95 % intervals (MOVER)"
SINGLE = "measured once each, without an interval: a difference of noise cannot be told from a real one"


@dataclass(frozen=True, slots=True)
class Difference:
    """`second` minus `first` in one metric, with its 95 % interval. `is_tie` None: it cannot be told."""

    value: float
    low: float | None
    high: float | None
    is_tie: bool | None
    method: str


@dataclass(frozen=True, slots=True)
class Raw:
    """What is known of two trials query by query and image by image: of two confirmed finalists which validation images
    they classified correctly [n], else their samples. `has_times`: the times of the samples are those that are shown;
    confirmed ones are of other processes, while a confirmed accuracy is the search's own.
    """

    hits: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    samples: tuple[Samples, Samples] | None = None
    has_times: bool = False


def compare(result: StudyResult, first: int, second: int, shown: Shown | None = None) -> dict[str, Any] | None:
    """The trials `first` and `second` side by side, JSON-ready; None when there is no such trial.

    {"first", "second", "metrics": [{"name", "first", "second", "difference": second - first, "low", "high",
    "is_tie": bool | null: it cannot be told, "better": "first" | "second" | null, "method"}]}: metrics that both know.
    `shown` is the study as it is shown, to be given by who compares many.
    """
    shown = shown_study(result) if shown is None else shown
    one, other = shown.result.trial(first), shown.result.trial(second)
    if one is None or other is None:
        return None
    directions = {objective.metric: objective.direction for objective in result.objectives}
    raw = _raw(shown, one, other)
    rows = []
    for name in metrics_of(result, one, other):
        a, b = one.outcome.metrics.get(name), other.outcome.metrics.get(name)
        if a is None or b is None or a.value is None or b.value is None:
            continue
        found = _difference(name, (one, other), (a, b), raw)
        is_second_better = (found.value < 0) == (directions.get(name, better_direction(name)) == "minimize")
        rows.append(
            {
                "name": name,
                "first": known(a.value),
                "second": known(b.value),
                "difference": known(found.value),
                "low": known(found.low),
                "high": known(found.high),
                "is_tie": found.is_tie,
                "better": None if found.is_tie is not False else "second" if is_second_better else "first",
                "method": found.method,
            }
        )
    return {"first": first, "second": second, "metrics": rows}


def _difference(
    name: str,
    trials: tuple[TrialRecord, TrialRecord],
    measured: tuple[Measurement, Measurement],
    raw: Raw,
) -> Difference:
    """By the sharpest method that the stored samples allow."""
    a, b = measured
    assert a.value is not None
    assert b.value is not None
    value = b.value - a.value
    if trials[0].number == trials[1].number:
        return Difference(0.0, 0.0, 0.0, True, "it is the same trial")
    if raw.hits is not None and name == "accuracy":
        return _paired_hits(*raw.hits)
    if raw.samples is not None:
        one, other = raw.samples
        if name == "accuracy" and len(one.predictions) == len(other.predictions):
            return _paired_accuracy(value, one, other)
        is_same_size = trials[0].variant.batch_size == trials[1].variant.batch_size
        if name == "latency_mean_ms" and raw.has_times and is_same_size:
            paired = _paired_mean(value, one, other)
            if paired is not None:
                return paired
    return _independent(value, a, b)


def _raw(shown: Shown, one: TrialRecord, other: TrialRecord) -> Raw:
    numbers, confirmation = {one.number, other.number}, shown.searched.confirmation
    if numbers <= shown.confirmed and confirmation is not None:
        hits = {finalist.trial: finalist.hits() for finalist in confirmation.finalists if finalist.trial in numbers}
        first, second = hits[one.number], hits[other.number]
        if first is not None and second is not None and len(first) == len(second):
            return Raw(hits=(first, second))
    a, b = trial_samples(shown.searched, one), trial_samples(shown.searched, other)
    if isinstance(a, Samples) and isinstance(b, Samples):
        return Raw(samples=(a, b), has_times=not numbers & shown.confirmed)
    return Raw()


def _paired_hits(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Difference:
    """Agresti and Min's interval of paired shares."""
    found = paired_share_difference(one, other)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    n_different = int((one != other).sum())
    return _judged(found.value, found.low, found.high, f"paired: right on other images, {n_different} of {len(one)}")


def _paired_accuracy(value: float, one: Samples, other: Samples) -> Difference:
    """The labels are not stored. Where both predictions are equal the difference is 0 whatever the label, and
    elsewhere its square is at most 1: so the interval is at least as wide as the one with labels (McNemar's).
    """
    n = len(one.predictions)
    n_different = int((one.predictions != other.predictions).sum())
    half = Z * math.sqrt(max(0.0, n_different / n - value**2) / n)
    return _judged(value, value - half, value + half, f"paired: other answers on {n_different} of {n} images")


def _paired_mean(value: float, one: Samples, other: Samples) -> Difference | None:
    """The queries of both ran over the same images in the same order."""
    n = min(len(one.latency_ns), len(other.latency_ns))
    if n < 2:
        return None
    gaps_ms = (other.latency_ns[:n] - one.latency_ns[:n]) / 1e6
    half = Z * float(np.std(gaps_ms, ddof=1)) / math.sqrt(n)
    return _judged(value, value - half, value + half, f"paired: {n} queries of the same images in the same order")


def _independent(value: float, a: Measurement, b: Measurement) -> Difference:
    """From what is known of each alone; a count has an interval of width 0."""
    ends = [_ends(m) for m in (a, b)]
    if ends[0] is None or ends[1] is None:
        return Difference(value, None, None, None, SINGLE)
    (below_a, above_a), (below_b, above_b) = ends[0], ends[1]
    low, high = value - math.hypot(below_b, above_a), value + math.hypot(above_b, below_a)
    return _judged(value, low, high, EXACT if low == high else MOVER)


def _ends(measurement: Measurement) -> tuple[float, float] | None:
    """How far the interval reaches below and above the value; None for a number that was measured once."""
    assert measurement.value is not None
    if measurement.low is not None and measurement.high is not None:
        return measurement.value - measurement.low, measurement.high - measurement.value
    return (0.0, 0.0) if measurement.n is None else None


def _judged(value: float, low: float, high: float, method: str) -> Difference:
    return Difference(value, low, high, low <= 0 <= high, method)
