"""Shipped weights are refused for validation images that they were trained on."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from explorer.errors import UsageError
from explorer.models.shipped import check_held_out, signatures


def images(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth ones, as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 3, 4, 4), dtype=np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


def recompressed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def test_signatures_are_the_mean_color_of_each_quarter() -> None:
    image = np.zeros((1, 2, 5, 4), dtype=np.uint8)
    image[0, 1, :2, 2:] = 100
    image[0, 0, 2, 0] = 40

    assert signatures(image).tolist() == [[0, 0, 10, 0, 0, 100, 0, 0]]


def test_check_held_out_accepts_a_part_of_the_held_out_images_recompressed_and_reordered() -> None:
    held_out = images(200)

    check_held_out(signatures(held_out), np.stack([recompressed(image) for image in held_out[150:50:-1]]))


def test_check_held_out_refuses_other_images_with_their_number() -> None:
    asked = np.concatenate([images(90), images(10, seed=1)])

    with pytest.raises(UsageError, match=r"trained on 10 of this study's 100 .* at most 200, .*recipe: default"):
        check_held_out(signatures(images(200)), asked)
