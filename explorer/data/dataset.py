"""Inputs and targets as arrays: as read, and as stored in the cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.tasks.task import Examples, Facts, Task, TensorSpec

Array = NDArray[Any]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RawDataset:
    """A data set as read: inputs and targets [n, ...] of any type and shape, and what the task needs to know of them.

    Of images with classes, inputs are uint8 [n, c, h, w], targets int64 [n] that index the fact `classes`.

    `train_originals` [n] numbers the originals where several training examples are versions of one original, equally
    many of each; such examples are never split between training and validation. None where each is an original.
    """

    train_inputs: Array
    train_targets: Array
    test_inputs: Array
    test_targets: Array
    facts: Facts
    train_originals: Labels | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A data set in the cache. The arrays are memory-mapped, read-only, from `folder`/<name of the field>.npy.

    fingerprint   SHA-256 of the source (the bytes of an archive, or relative paths and contents), and of the version
                  of the drawing, for drawn images
    mean, std     of `train_inputs` per channel (axis 1), of images on the 0-255 scale; a constant channel has std 1;
                  empty for whole numbers that are no pixels
    *_inputs, *_targets, facts, train_originals  as in RawDataset
    """

    name: str
    kind: str
    fingerprint: str
    facts: Facts
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: Path
    train_inputs: Array
    train_targets: Array
    test_inputs: Array
    test_targets: Array
    train_originals: Labels | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, of images (channels, height, width)."""
        return tuple(self.train_inputs.shape[1:])

    def input_spec(self, task: Task) -> TensorSpec:
        """Return type and shape of one input, named as the task calls its examples."""
        return TensorSpec(task.noun[1], str(self.train_inputs.dtype), self.input_shape)

    def test_examples(self, task: str) -> Examples:
        """Return the test split, for a process with NumPy alone."""
        paths = (self.folder / "test_inputs.npy", self.folder / "test_targets.npy")
        return Examples(*paths, f"{self.fingerprint} test", task, self.facts)


def channel_statistics(inputs: Array) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel of inputs [n, c, ...]; exact for pixels, on the 0-255 scale.

    A constant channel has the deviation 1. Whole numbers that are no pixels, such as tokens, have no statistics.
    """
    if inputs.dtype == np.uint8:
        means, deviations = _pixel_statistics(inputs)
    elif inputs.dtype.kind == "f" and inputs.ndim > 1:
        axes = (0, *range(2, inputs.ndim))
        means = inputs.mean(axis=axes, dtype=np.float64).tolist()
        deviations = inputs.std(axis=axes, dtype=np.float64).tolist()
    else:
        return [], []
    return means, [deviation or 1.0 for deviation in deviations]


def _pixel_statistics(images: Images) -> tuple[list[float], list[float]]:
    values = np.arange(256, dtype=np.float64)
    means, deviations = [], []
    for channel in range(images.shape[1]):
        share = np.bincount(images[:, channel].reshape(-1), minlength=256) / images[:, channel].size
        means.append(float(share @ values))
        deviations.append(float(np.sqrt(share @ (values - means[-1]) ** 2)))
    return means, deviations


def digests(inputs: Array) -> list[bytes]:
    """Return a 128-bit digest of each of the inputs [n, ...]; those of equal bytes have equal ones."""
    return [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in inputs]
