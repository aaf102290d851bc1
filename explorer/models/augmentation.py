"""Batches of training images, changed at random: a function of the seed and the step alone.

Shifts and flips; cutout (DeVries & Taylor 2017); brightness, contrast and color, so that a network does not rely on
what a camera or a file format changes.
"""

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
    """Copies of `images` [b, c, h, w], changed as `plan` says."""
    if plan.padding:
        images = _shifted(images, plan.padding, rng)
    if plan.has_flips:
        is_flipped = rng.random((len(images), 1, 1, 1)) < 0.5
        images = np.where(is_flipped, images[..., ::-1], images)
    if plan.color_jitter:
        images = _recolored(images, plan.color_jitter, rng)
    if plan.cutout:
        images = _cut_out(images, plan.cutout, rng)
    return np.array(images, order="C")


def _shifted(images: NDArray[np.uint8], padding: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each moved by up to `padding` pixels; what comes in is the reflection of the rim."""
    n, _, height, width = images.shape
    margin = (padding, padding)
    padded = np.pad(images, ((0, 0), (0, 0), margin, margin), mode="reflect")
    windows = sliding_window_view(padded, (height, width), axis=(2, 3))
    down, right = rng.integers(0, 2 * padding + 1, (2, n))
    return windows[np.arange(n), :, down, right]


def _recolored(images: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Contrast around mid-gray and brightness, by up to `strength` of the range; each channel by half as much again."""
    n, channels = images.shape[:2]
    contrast, color = (rng.uniform(-strength, strength, (n, size, 1, 1)) for size in (1, channels))
    gain = 1 + contrast + color / 2
    shift = 128 * rng.uniform(-strength, strength, (n, 1, 1, 1))
    recolored = (images - np.float32(128)) * gain.astype(np.float32) + (128 + shift).astype(np.float32)
    clipped: NDArray[np.uint8] = np.clip(np.rint(recolored), 0, 255).astype(np.uint8)
    return clipped


def _cut_out(images: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A gray square of up to `side` pixels in each; its center is anywhere, so that the rim may cut it."""
    n, _, height, width = images.shape
    rows, columns = rng.integers(0, height, (n, 1)), rng.integers(0, width, (n, 1))
    in_rows = np.abs(2 * (np.arange(height) - rows) + 1) <= side
    in_columns = np.abs(2 * (np.arange(width) - columns) + 1) <= side
    is_cut = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return np.where(is_cut, np.uint8(128), images)
