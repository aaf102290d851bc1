"""Whether weights that come from elsewhere were trained on the images that they are to be judged by.

Indices and file hashes cannot tell: the same CIFAR-10 image is a row of an archive here and a JPEG file there. So
weights bring along a coarse picture, which recompression does not change, of each image held out of their training.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.errors import UsageError

_TOLERANCE = 8  # of 255: JPEG moves a quarter's mean by a level or two; of another image, some quarter is farther off
_FEWEST_KNOWN = 0.99


def signatures(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean color of each quarter of each image: uint8 [n, c, h, w], h and w at least 2 -> uint8 [n, 4 c]."""
    n, c, h, w = images.shape
    quarters = images[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, 2, h // 2, 2, w // 2)
    found: NDArray[np.uint8] = quarters.mean((3, 5)).round().astype(np.uint8).reshape(n, -1)
    return found


def check_held_out(held_out: NDArray[np.uint8], validation_images: NDArray[np.uint8]) -> None:
    """Raises UsageError unless (nearly) all `validation_images` [n, c, h, w] have their signature in `held_out`."""
    known = held_out[np.argsort(held_out[:, 0])].astype(np.int16)
    asked = signatures(validation_images).astype(np.int16)
    # Only those whose first value is near are looked at: a tenth of them, and 0.1 s instead of 1 s for 5,000 images.
    first = np.searchsorted(known[:, 0], asked[:, 0] - _TOLERANCE, side="left")
    last = np.searchsorted(known[:, 0], asked[:, 0] + _TOLERANCE, side="right")
    n_known = sum(
        bool((np.abs(known[start:stop] - one).max(1) <= _TOLERANCE).any())
        for one, start, stop in zip(asked, first, last, strict=True)
        if start < stop
    )
    if n_known < _FEWEST_KNOWN * len(asked):
        raise UsageError(
            f"the shipped weights were trained on {len(asked) - n_known} of this study's {len(asked)} validation "
            f"images, which would flatter every accuracy: set data.validation to at most {len(held_out)}, or replace "
            "'weights: shipped' by 'recipe: default' to train a network for this split"
        )
