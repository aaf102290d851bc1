"""Run segments in turn: confident images leave early, the rest are compacted and continue. Imports NumPy alone.

Every runtime and every exported bundle runs this file; it imports nothing of this package. Early exits by softmax
confidence: Teerapittayanon et al., "BranchyNet", ICPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Segment = Callable[[Array], tuple[Array, ...]]
"""Takes raw images or features; returns `(logits [b, k], features)`, the last segment `(logits [b, k],)`."""


def confidence(logits: Array) -> Array:
    """Return the largest softmax probability of each row: [..., k] -> [...], in [1/k, 1]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(1.0 / np.exp(shifted).sum(axis=-1))


class StagedExecutor:
    """A chain of segments with one confidence threshold in (0, 1]; at 1.0 no image leaves early.

    An image leaves at the first exit whose confidence is at least the threshold.
    """

    def __init__(self, segments: Sequence[Segment], threshold: float) -> None:
        self.segments = tuple(segments)
        self.threshold = threshold

    def classify(self, images: Array) -> tuple[Array, Array]:
        """Return logits [b, k] of the exit that each uint8 image [b, c, h, w] took, and that exit's index [b]."""
        if len(self.segments) == 1:
            (logits,) = self.segments[0](images)
            return logits, np.zeros(len(images), dtype=np.int64)
        made = self.segments[0](images)
        logits = made[0].copy()
        exits = np.zeros(len(images), dtype=np.int64)
        staying = np.arange(len(images))
        for index, segment in enumerate(self.segments[1:], start=1):
            stays = ~leaving(made[0], self.threshold)
            if not stays.any():
                break
            features = made[1]
            if not stays.all():
                staying, features = staying[stays], features[stays]
            made = segment(features)
            logits[staying] = made[0]
            exits[staying] = index
        return logits, exits

    def all_exits(self, images: Array) -> Array:
        """Return the logits [e, b, k] of every exit for uint8 images [b, c, h, w], as if no image left."""
        logits, features = [], images
        for segment in self.segments:
            made = segment(features)
            logits.append(made[0])
            features = made[-1]
        return np.stack(logits)


def leaving(logits: Array, threshold: float) -> Array:
    """Return which rows of logits [b, k] leave here, as booleans [b]; none at a threshold of 1.0."""
    if threshold >= 1.0:
        return np.zeros(len(logits), dtype=bool)
    return np.asarray(confidence(logits) >= threshold)


def exits_taken(logits: Array, threshold: float) -> Array:
    """Return the exit [n] that each image takes, given logits [e, n, k] of every exit; the same rule as `classify`."""
    taken = np.full(logits.shape[1], len(logits) - 1, dtype=np.int64)
    for index in range(len(logits) - 2, -1, -1):
        taken[leaving(logits[index], threshold)] = index
    return taken
