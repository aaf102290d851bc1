"""The images that a base network is trained on and judged by, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The training and validation images of one data set; the test images are nowhere in it.

    images, validation_images  uint8 [n, c, h, w]
    labels, validation_labels  integers [n] in [0, n_classes)
    mean, std                  of the training images, one a channel, on the 0-255 scale
    fingerprint                of the data set; `splits_fingerprint` of how it was split
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    validation_images: NDArray[np.uint8]
    validation_labels: NDArray[np.int64]
    n_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    splits_fingerprint: str

    def __post_init__(self) -> None:
        for images, labels in (
            (self.images, self.labels),
            (self.validation_images, self.validation_labels),
        ):
            if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels) or len(images) == 0:
                raise ValueError(
                    "expected uint8 images [n, c, h, w] with as many labels and n >= 1, "
                    f"got {images.dtype} {list(images.shape)} with {len(labels)} labels."
                )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(c, h, w)."""
        _, channels, height, width = self.images.shape
        return channels, height, width
