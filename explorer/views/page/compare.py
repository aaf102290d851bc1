"""Comparison of two trials: their difference in every metric with its 95 % interval.

Both trials answered the same examples and were timed on them in the same order. Where the raw samples are stored,
differences are paired, example by example. Elsewhere the interval of the difference follows from the two intervals
(MOVER, Zou & Donner 2008), which is wider. These intervals cover the noise within one measurement, not that between
measurements. The intervals of confirmed values, medians over rounds, cover both; confirmed finalists are compared by
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.intervals import Z, paired_share_difference
from explorer.records import Measurement
from explorer.study.front import FrontView
from explorer.study.result import TrialRecord
from explorer.study.store.samples import Samples, trial_samples
from explorer.views.formatting import better_direction
from explorer.views.page.columns import known
from explorer.views.page.detail import metrics_of

EXACT = "exact: both are counted, not sampled"
MOVER = "from the two 95 % intervals (MOVER)"
SINGLE = "measured once each, without an interval: a difference of noise cannot be told from a real one"


@dataclass(frozen=True, slots=True)
class Difference:
    """`second` minus `first` in one metric, with its 95 % interval; `is_tie` is None where there is no interval."""

    value: float
    low: float | None
    high: float | None
    is_tie: bool | None
    method: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Raw data of two trials, paired: `scores` [n] of the validation examples by metric, and query times [q] in ns.

    Times are missing where the displayed ones are confirmed, of other processes; a confirmed quality is the search's.
    """

    scores: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=dict)
    times_ns: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    noun: str = "examples"


def compare(front: FrontView, first: int, second: int) -> dict[str, Any] | None:
    """Return the trials `first` and `second` side by side, JSON-ready; None when there is no such trial.

    {"first", "second", "metrics": [{"name", "first", "second", "difference": second - first, "low", "high",
    "is_tie": bool | null: no interval, "better": "first" | "second" | null, "method"}]}: metrics that both have.
    """
    result, one, other = front.searched, front.result.trial(first), front.result.trial(second)
    if one is None or other is None:
        return None
    directions = {objective.metric: objective.direction for objective in result.objectives}
    raw = _raw(front, one, other)
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
    """Return the difference by the method with the narrowest interval that the stored samples allow."""
    a, b = measured
    assert a.value is not None
    assert b.value is not None
    value = b.value - a.value
    if trials[0].number == trials[1].number:
        return Difference(0.0, 0.0, 0.0, True, "it is the same trial")
    if name in raw.scores:
        return _paired_scores(*raw.scores[name], raw.noun)
    is_same_size = trials[0].variant["batch_size"] == trials[1].variant["batch_size"]
    if name == "latency_mean_ms" and raw.times_ns is not None and is_same_size:
        paired = _paired_mean(value, *raw.times_ns, raw.noun)
        if paired is not None:
            return paired
    return _independent(value, a, b)


def _raw(front: FrontView, one: TrialRecord, other: TrialRecord) -> Raw:
    numbers, confirmation, noun = {one.number, other.number}, front.searched.confirmation, front.result.task.noun[1]
    if numbers <= front.confirmed and confirmation is not None:
        scores = {finalist.trial: finalist.scores() for finalist in confirmation.finalists if finalist.trial in numbers}
        if pairs := _pairs(scores[one.number], scores[other.number]):
            return Raw(pairs, noun=noun)
    a, b = trial_samples(front.searched, one), trial_samples(front.searched, other)
    if not isinstance(a, Samples) or not isinstance(b, Samples):
        return Raw()
    return Raw(_pairs(a.scores, b.scores), None if numbers & front.confirmed else _same_queries(a, b), noun)


def _same_queries(a: Samples, b: Samples) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the times [q] of the queries that count in both."""
    _, of_a, of_b = np.intersect1d(a.which, b.which, assume_unique=True, return_indices=True)
    return a.latency_ns[of_a], b.latency_ns[of_b]


def _pairs(
    one: Mapping[str, NDArray[np.float64]], other: Mapping[str, NDArray[np.float64]]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the scores [n] of both by metric, where both have as many."""
    return {name: (one[name], other[name]) for name in one if name in other and len(one[name]) == len(other[name])}


def _paired_scores(one: NDArray[np.float64], other: NDArray[np.float64], noun: str) -> Difference:
    """Return the difference of the means of `other` minus `one` [n].

    The interval is Agresti and Min's of paired shares where every score is 0 or 1, else the normal one of the mean of
    the differences.
    """
    n, gaps = len(one), other - one
    where = f"{int((gaps != 0).sum())} of {n}"
    if np.isin((one, other), (0.0, 1.0)).all():
        found = paired_share_difference(one.astype(np.bool_), other.astype(np.bool_))
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        return _difference_with(found.value, found.low, found.high, f"paired: right on other {noun}, {where}")
    value, half = float(gaps.mean()), Z * float(np.std(gaps, ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return _difference_with(value, value - half, value + half, f"paired: other scores on {where} {noun}")


def _paired_mean(value: float, one: NDArray[np.int64], other: NDArray[np.int64], noun: str) -> Difference | None:
    """Return the paired difference of the mean latencies in ms, of times [q]; None with fewer than two queries."""
    n = min(len(one), len(other))
    if n < 2:
        return None
    gaps_ms = (other[:n] - one[:n]) / 1e6
    half = Z * float(np.std(gaps_ms, ddof=1)) / math.sqrt(n)
    return _difference_with(
        value, value - half, value + half, f"paired: {n} queries of the same {noun} in the same order"
    )


def _independent(value: float, a: Measurement, b: Measurement) -> Difference:
    """Return the difference from the two intervals (MOVER); that of a count has width 0."""
    ends = [_ends(m) for m in (a, b)]
    if ends[0] is None or ends[1] is None:
        return Difference(value, None, None, None, SINGLE)
    (below_a, above_a), (below_b, above_b) = ends[0], ends[1]
    low, high = value - math.hypot(below_b, above_a), value + math.hypot(above_b, below_a)
    return _difference_with(value, low, high, EXACT if low == high else MOVER)


def _ends(measurement: Measurement) -> tuple[float, float] | None:
    """Return the distances of the interval's ends from the value; None for a number that was measured once."""
    assert measurement.value is not None
    if measurement.low is not None and measurement.high is not None:
        return measurement.value - measurement.low, measurement.high - measurement.value
    return (0.0, 0.0) if measurement.n is None else None


def _difference_with(value: float, low: float, high: float, method: str) -> Difference:
    return Difference(value, low, high, low <= 0 <= high, method)
