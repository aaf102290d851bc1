"""Images and labels as arrays: as they were decoded, and as the cache keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RawDataset:
    """A data set as it was decoded: images uint8 [n, c, h, w], labels int64 [n] that index `class_names`."""

    class_names: tuple[str, ...]
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A data set in the cache. The arrays are memory-mapped, read-only, from `folder`/<name of the field>.npy.

    fingerprint   sha256 of the source: of the archive's bytes, or of a folder's relative paths and contents
    image_shape   (channels, height, width)
    mean, std     of `train_images`, one a channel, on the 0-255 scale; a constant channel has std 1
    *_images      uint8 [n, c, h, w];  *_labels  int64 [n], indexing `class_names`
    """

    name: str
    kind: str
    fingerprint: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: Path
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels

    @property
    def n_classes(self) -> int:
        """How many classes the labels tell apart."""
        return len(self.class_names)

    @property
    def test_images_path(self) -> Path:
        """The test images as a .npy file, for a process that has NumPy alone."""
        return self.folder / "test_images.npy"

    @property
    def test_labels_path(self) -> Path:
        """The test labels as a .npy file."""
        return self.folder / "test_labels.npy"


def channel_statistics(images: Images) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of [n, c, h, w], exact (from a histogram), on the 0-255 scale."""
    values = np.arange(256, dtype=np.float64)
    means, deviations = [], []
    for channel in range(images.shape[1]):
        share = np.bincount(images[:, channel].reshape(-1), minlength=256) / images[:, channel].size
        mean = float(share @ values)
        deviation = float(np.sqrt(share @ (values - mean) ** 2))
        means.append(mean)
        deviations.append(deviation or 1.0)
    return means, deviations


def image_digests(images: Images) -> list[bytes]:
    """A 128-bit digest of each image's pixels: equal for byte-identical images."""
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
