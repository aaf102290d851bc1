"""Bootstrap samples: metrics as random variables, many trials at once, so that what they have in common cancels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.intervals import Z, student
from explorer.records import Measurement

N_BOOTSTRAP = 2000
"""A probability of 0.05 or 0.95 is known to half a percent with so many."""

_CHUNK = 200


def deviation(measurement: Measurement) -> float:
    """The standard deviation that the 95 % interval of a measurement implies; 0 without an interval."""
    if measurement.low is None or measurement.high is None:
        return 0.0
    return (measurement.high - measurement.low) / (2 * Z)


def bootstrap_scores(
    qualities: Sequence[Measurement],
    scores: Sequence[NDArray[np.float64] | None],
    bounds: tuple[float, float],
    generator: np.random.Generator,
    n_samples: int = N_BOOTSTRAP,
) -> NDArray[np.float64]:
    """Return mean scores [d, n] of n trials on examples drawn with replacement, the same for all of them in one draw.

    `scores` are the scores [i] of each trial's examples. A trial of which they are not known, or with another number of
    examples than the first, is drawn by itself from its quality's interval, within the metric's `bounds`. (Paired
    bootstrap; Efron & Tibshirani 1993.)
    """
    drawn = np.empty((n_samples, len(qualities)))
    n_examples = next((len(one) for one in scores if one is not None), 0)
    paired = [index for index, one in enumerate(scores) if one is not None and len(one) == n_examples and n_examples]
    for index in set(range(len(qualities))) - set(paired):
        one = qualities[index]
        value = math.nan if one.value is None else one.value
        drawn[:, index] = np.clip(generator.normal(value, deviation(one), n_samples), *bounds)
    if paired:
        # Examples that all trials treat alike are one kind: drawing kinds is drawing examples. Of scores of 0 and 1
        # there are few kinds, of others as many as examples.
        table = np.array([scores[index] for index in paired], dtype=np.float64).T
        kinds, counts = np.unique(table, axis=0, return_counts=True)
        for first in range(0, n_samples, _CHUNK):  # all at once would take a hundred megabytes
            size = min(_CHUNK, n_samples - first)
            times = generator.multinomial(n_examples, counts / n_examples, size=size)
            drawn[first : first + size, paired] = times @ kinds / n_examples
    return drawn


def small_sample_factor(n: int) -> float:
    """By how much a bootstrap over n >= 2 samples is too narrow: sqrt(n / (n - 1)) for the variance of so few, and
    Student's t over the normal for not knowing it (Hesterberg 2015, "What Teachers Should Know About the Bootstrap").
    """
    return math.sqrt(n / (n - 1)) * student(n - 1) / Z


def bootstrap_rounds(
    values: NDArray[np.float64], generator: np.random.Generator, n_samples: int = N_BOOTSTRAP
) -> NDArray[np.float64]:
    """Medians over rounds drawn with replacement [d, n, m], of `values` [r, n, m]; NaN: no valid value in that round.

    One draw of rounds serves all trials, since a round's conditions are shared. Each median's distance from the one of
    all rounds is stretched by `small_sample_factor`. A trial needs a value in at least one round; where only one round
    has one, or a draw has none of its rounds, the median of all is taken.
    """
    n_rounds = len(values)
    center = _median(values)
    drawn = _median(np.moveaxis(values[generator.integers(0, n_rounds, (n_samples, n_rounds))], 1, 0))
    n_known = (~np.isnan(values)).sum(axis=0)
    stretch = np.array([small_sample_factor(n) if n > 1 else 0.0 for n in n_known.ravel().tolist()])
    distance = np.where(np.isnan(drawn), 0.0, drawn - center)
    return np.asarray(center + stretch.reshape(n_known.shape) * distance, dtype=np.float64)


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median over the first axis of what is not NaN; NaN where nothing is. (NumPy's goes cell by cell.)"""
    ordered = np.sort(values, axis=0)  # NaN comes last
    n_known = (~np.isnan(ordered)).sum(axis=0)[np.newaxis]
    low, high = (
        np.take_along_axis(ordered, np.maximum(places, 0), axis=0)[0] for places in ((n_known - 1) // 2, n_known // 2)
    )
    # With as many known values as there are, n_known // 2 is inside for every n_known >= 1.
    return np.where(n_known[0] > 0, (low + high) / 2, np.nan)
