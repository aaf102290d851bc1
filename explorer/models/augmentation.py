"""Batches of training images, shifted and flipped at random: a function of the seed and the step alone."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from explorer.models.recipes import Plan


def batch_indices(n_images: int, plan: Plan, step: int, seed: int) -> NDArray[np.int64]:
    """Indices [batch_size] of the images of a step: every epoch is a permutation of its own, its remainder left out."""
    epoch, position = divmod(step, plan.steps_per_epoch)
    order = np.random.default_rng((seed, 0, epoch)).permutation(n_images)
    return order[position * plan.batch_size : (position + 1) * plan.batch_size]


def augment(images: NDArray[np.uint8], plan: Plan, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shift every image [b, c, h, w] by up to `plan.padding` pixels (reflected at the rim); flip half of them."""
    n, _, height, width = images.shape
    if plan.padding:
        margin = (plan.padding, plan.padding)
        padded = np.pad(images, ((0, 0), (0, 0), margin, margin), mode="reflect")
        windows = sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = rng.integers(0, 2 * plan.padding + 1, (2, n))
        images = windows[np.arange(n), :, down, right]
    if plan.has_flips:
        is_flipped = rng.random((n, 1, 1, 1)) < 0.5
        images = np.where(is_flipped, images[..., ::-1], images)
    return np.ascontiguousarray(images)
