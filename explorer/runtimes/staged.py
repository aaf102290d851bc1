"""Run segments in turn: inputs whose output is good enough leave early, the rest are compacted and continue.

Every runtime and every exported bundle runs this file; it imports NumPy alone, and nothing of this package. What makes
an intermediate output good enough is the task's: its confidence. Early exits by softmax confidence are those of
Teerapittayanon et al., "BranchyNet", ICPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Segment = Callable[[Array], tuple[Array, ...]]
"""Takes raw inputs or features; returns `(outputs [b, k], features)`, the last segment `(outputs [b, k],)`."""
Confidence = Callable[[Array], Array]
"""How good outputs [..., k] of a segment are, [...]: at the threshold and above, they are the answer."""


class StagedExecutor:
    """A chain of segments with one threshold in (0, 1]; at 1.0, and without a confidence, no input leaves early.

    An input leaves at the first exit whose confidence is at least the threshold.
    """

    def __init__(self, segments: Sequence[Segment], threshold: float, confidence: Confidence | None = None) -> None:
        self.segments = tuple(segments)
        self.threshold = threshold
        self.confidence = confidence

    def classify(self, inputs: Array) -> tuple[Array, Array]:
        """Return outputs [b, k] of the exit that each input [b, ...] took, and that exit's index [b]."""
        made = self.segments[0](inputs)
        taken = np.zeros(len(inputs), dtype=np.int64)
        if len(self.segments) == 1:
            return made[0], taken
        outputs = made[0].copy()
        staying = np.arange(len(inputs))
        for index, segment in enumerate(self.segments[1:], start=1):
            stays = ~leaving(made[0], self.threshold, self.confidence)
            if not stays.any():
                break
            features = made[1]
            if not stays.all():
                staying, features = staying[stays], features[stays]
            made = segment(features)
            outputs[staying] = made[0]
            taken[staying] = index
        return outputs, taken

    def all_exits(self, inputs: Array) -> Array:
        """Return the outputs [e, b, k] of every exit for inputs [b, ...], as if no input left."""
        outputs, features = [], inputs
        for segment in self.segments:
            made = segment(features)
            outputs.append(made[0])
            features = made[-1]
        return np.stack(outputs)


def leaving(outputs: Array, threshold: float, confidence: Confidence | None) -> Array:
    """Return which rows of outputs [b, k] leave here, as booleans [b]; none at 1.0 and without a confidence."""
    if threshold >= 1.0 or confidence is None:
        return np.zeros(len(outputs), dtype=bool)
    return np.asarray(confidence(outputs) >= threshold)


def exits_taken(outputs: Array, threshold: float, confidence: Confidence | None) -> Array:
    """Return the exit [n] that each input takes, given outputs [e, n, k] of every exit; the same rule as `classify`."""
    taken = np.full(outputs.shape[1], len(outputs) - 1, dtype=np.int64)
    for index in range(len(outputs) - 2, -1, -1):
        taken[leaving(outputs[index], threshold, confidence)] = index
    return taken
