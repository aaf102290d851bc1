"""Decisions: which exits and classes logits settle firmly, however each of them moves within a tolerance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def firm(logits: NDArray[Any], exits: NDArray[Any], threshold: float, shift: float) -> NDArray[np.bool_]:
    """Whether image i surely leaves at exits[i], with the same class, when no logit moves by more than `shift`.

    logits [e, n, k] of every exit, exits [n], `threshold` in (0, 1]: the confidence at which an image leaves -> [n]

    Neither the distance of the two largest logits, nor the largest one's from the log-sum-exp of the others, which is
    the confidence's log-odds, can then change by more than 2 · shift.
    """
    last = len(logits) - 1
    reach = math.inf if threshold >= 1.0 else math.log(threshold) - math.log1p(-threshold)
    odds = _log_odds(logits)
    is_firm = np.ones(len(exits), dtype=bool)
    for index in range(last):
        surely_stays, surely_leaves = odds[index] + 2 * shift < reach, odds[index] - 2 * shift >= reach
        is_firm &= np.where(exits > index, surely_stays, (exits < index) | surely_leaves)
    taken = np.take_along_axis(logits, exits[None, :, None].astype(np.int64), axis=0)[0]
    if taken.shape[1] > 1:
        second, first = np.partition(taken, -2, axis=1)[:, -2:].T
        is_firm &= first - second > 2 * shift
    return is_firm


def _log_odds(logits: NDArray[Any]) -> NDArray[Any]:
    """log(p / (1 - p)) of the largest softmax probability p: [..., k] -> [...], infinite for a single class."""
    ordered = np.sort(logits.astype(np.float64), axis=-1)
    largest, others = ordered[..., -1], ordered[..., :-1]
    if not others.shape[-1]:
        return np.full(largest.shape, np.inf)
    second = others[..., -1]
    return np.asarray(largest - second - np.log(np.exp(others - second[..., None]).sum(axis=-1)))
