"""Predicting: the logits of every exit on all images, and what each image got: its exit and its class. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.runtimes.staged import Array, StagedExecutor, confidence, exits_taken

_BATCH = 50
_DETERMINISM_IMAGES = 64
_LOGIT_TOLERANCE = 1e-2
_CONFIDENCE_TOLERANCE = 1e-3
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """What an artifact makes of n images: logits [e, n, k] of every exit, exits [n] taken, and the class [n] there."""

    logits: Array
    exits: NDArray[np.int64]
    predictions: NDArray[np.int64]


def predict(
    executor: StagedExecutor, images: Array, batch: int, is_invariant: bool, n_workers: int, known: Array | None
) -> Predicted:
    """Classify uint8 images [n, c, h, w], `n_workers` batches at a time; `known` are logits that need not be computed.

    Where an image's logits depend on its neighbors in the batch, the batch is the variant's own. Raises ValueError for
    other logits the second time, FloatingPointError for logits that are not finite.
    """
    size = _BATCH if is_invariant else batch
    _check_determinism(executor, images[:_DETERMINISM_IMAGES])
    logits = known
    if logits is None:
        logits = np.concatenate(list(_over_batches(executor.all_exits, images, size, n_workers)), axis=1)
    if not np.isfinite(logits).all():
        raise FloatingPointError("the artifact's logits are not finite numbers")
    if is_invariant or size == 1:
        exits = exits_taken(logits, executor.threshold)
        taken = np.take_along_axis(logits, exits[None, :, None], axis=0)[0]
    else:
        parts = list(_over_batches(executor.classify, images, size, n_workers))
        taken = np.concatenate([part for part, _ in parts])
        exits = np.concatenate([part for _, part in parts])
    return Predicted(logits, exits, taken.argmax(axis=1))


def n_different(logits: Array, exits: Array, which: Array, predicted: Predicted, threshold: float) -> int:
    """How many of n answers, logits [n, k] at exits [n] for the images `which` [n], are not those of `predicted`.

    Kernels round differently in batches of other sizes: logits may differ by 1 % of the largest, and an image may take
    another exit where its confidence is within 0.001 of the threshold.
    """
    expected = predicted.logits[exits, which]
    scale = np.maximum(1e-6, np.abs(expected).max(axis=1, keepdims=True))
    is_other = ~(np.abs(logits - expected) <= _LOGIT_TOLERANCE * scale).all(axis=1)  # not a number is another one
    earlier = np.minimum(exits, predicted.exits[which])
    margin = np.abs(confidence(predicted.logits[earlier, which]) - threshold)
    left_elsewhere = (exits != predicted.exits[which]) & (margin > _CONFIDENCE_TOLERANCE)
    return int((is_other | left_elsewhere).sum())


def _over_batches(call: Callable[[Array], _Made], images: Array, batch: int, n_workers: int) -> Iterator[_Made]:
    """`call` of each batch, in order, `n_workers` at a time; each call takes the variant's own threads."""
    with ThreadPoolExecutor(n_workers) as pool:
        starts = range(0, len(images), batch)
        yield from pool.map(lambda start: call(np.ascontiguousarray(images[start : start + batch])), starts)


def _check_determinism(executor: StagedExecutor, images: Array) -> None:
    batch = np.ascontiguousarray(images)
    if not np.array_equal(executor.all_exits(batch), executor.all_exits(batch), equal_nan=True):
        raise ValueError("the same images gave other logits the second time: switch off dropout and other randomness")
