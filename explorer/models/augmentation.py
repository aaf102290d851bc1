"""Training batches with random augmentation: a function of the seed and the step alone.

Shifts, flips and small affine maps; cutout (DeVries & Taylor 2017); brightness, contrast and color, so that a network
does not rely on properties that cameras and file formats change.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch.nn import functional as F

from explorer.models.recipes import Augmentation, Plan


def batch_indices(n_images: int, plan: Plan, step: int, seed: int) -> NDArray[np.int64]:
    """Return the indices [batch_size] of a step's images: every epoch is a new permutation, without its remainder."""
    epoch, position = divmod(step, plan.steps_per_epoch)
    order = np.random.default_rng((seed, 0, epoch)).permutation(n_images)
    return order[position * plan.batch_size : (position + 1) * plan.batch_size]


def augment(images: NDArray[np.uint8], how: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return augmented copies of `images` [b, c, h, w]."""
    if how.padding:
        images = _shifted(images, how.padding, rng)
    if how.has_flips:
        is_flipped = rng.random((len(images), 1, 1, 1)) < 0.5
        images = np.where(is_flipped, images[..., ::-1], images)
    if how.warp:
        images = _warped(images, how.warp, rng)
    if how.color_jitter:
        images = _recolored(images, how.color_jitter, rng)
    if how.cutout:
        images = _cut_out(images, how.cutout, rng)
    return np.array(images, order="C")


def cut_mix(
    images: NDArray[np.uint8], targets: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Paste one rectangle of another image into every image [b, c, h, w], and mix targets [b, k] by its area.

    Yun et al., "CutMix", ICCV 2019: the share of the area is uniform in [0, 1], the rectangle's center anywhere.
    """
    height, width = images.shape[2:]
    half = np.sqrt(rng.random()) / 2
    row, column = rng.integers(0, height), rng.integers(0, width)
    top, bottom = max(0, round(row - half * height)), min(height, round(row + half * height))
    left, right = max(0, round(column - half * width)), min(width, round(column + half * width))
    other = rng.permutation(len(images))
    mixed = images.copy()
    mixed[:, :, top:bottom, left:right] = images[other, :, top:bottom, left:right]
    share = np.float32((bottom - top) * (right - left) / (height * width))
    return mixed, (1 - share) * targets + share * targets[other]


def _shifted(images: NDArray[np.uint8], padding: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shift each image by up to `padding` pixels, with reflected borders."""
    n, _, height, width = images.shape
    margin = (padding, padding)
    padded = np.pad(images, ((0, 0), (0, 0), margin, margin), mode="reflect")
    windows = sliding_window_view(padded, (height, width), axis=(2, 3))
    down, right = rng.integers(0, 2 * padding + 1, (2, n))
    return windows[np.arange(n), :, down, right]


def _warped(images: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rotate, stretch and shear half of the images: each entry of the matrix changes by up to `strength`.

    Resampling blurs, while deployed images are sharp; so the other half stays unchanged.
    """
    chosen = np.flatnonzero(rng.random(len(images)) < 0.5)
    if not len(chosen):
        return images
    matrices = np.eye(2) + rng.uniform(-strength, strength, (len(chosen), 2, 2))
    maps = torch.from_numpy(np.concatenate([matrices, np.zeros((len(chosen), 2, 1))], axis=2).astype(np.float32))
    pixels = torch.from_numpy(images[chosen].astype(np.float32))
    grid = F.affine_grid(maps, list(pixels.shape), align_corners=False)
    resampled = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    warped = images.copy()
    warped[chosen] = resampled.round().to(torch.uint8).numpy()  # means of pixels: never out of range
    return warped


def _recolored(images: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change contrast around mid-gray and brightness by up to `strength` of the range, each channel by half as much."""
    n, channels = images.shape[:2]
    contrast, color = (rng.uniform(-strength, strength, (n, size, 1, 1)) for size in (1, channels))
    gain = 1 + contrast + color / 2
    shift = 128 * rng.uniform(-strength, strength, (n, 1, 1, 1))
    recolored = (images - np.float32(128)) * gain.astype(np.float32) + (128 + shift).astype(np.float32)
    clipped: NDArray[np.uint8] = np.clip(np.rint(recolored), 0, 255).astype(np.uint8)
    return clipped


def _cut_out(images: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a gray square of up to `side` pixels from each image; the border may clip it, as its center is anywhere."""
    n, _, height, width = images.shape
    rows, columns = rng.integers(0, height, (n, 1)), rng.integers(0, width, (n, 1))
    in_rows = np.abs(2 * (np.arange(height) - rows) + 1) <= side
    in_columns = np.abs(2 * (np.arange(width) - columns) + 1) <= side
    is_cut = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return np.where(is_cut, np.uint8(128), images)
