"""Sample images: the first validation images, kept with the study, so that it can be exported without the data."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer import files
from explorer.errors import StudyError
from explorer.plain_file import open_plain
from explorer.space.values import SearchSpace
from explorer.study.samples import UNREADABLE

_NAME = "samples.npz"
_FEWEST = 16


def keep_sample_images(folder: Path, images: Path, labels: Path, space: SearchSpace) -> None:
    """Write the first images of the `.npy` files `images` and `labels` into the study's folder, unless they are there.

    As many as the largest batch of the space, since an image's logits may depend on its batch. Raises OSError.
    """
    target = folder / _NAME
    if target.is_file():
        return
    n = max(_FEWEST, *(int(str(size)) for size in space.parameters["batch_size"].values))
    arrays = {"images": images, "labels": labels}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.load(path, mmap_mode="r")[:n] for name, path in arrays.items()})
    files.write_bytes(target, buffer.getvalue())


def has_sample_images(folder: Path) -> bool:
    """Whether the study's folder has a file of them."""
    return (folder / _NAME).exists()


def read_sample_images(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images uint8 [n, c, h, w] and labels int64 [n]. Raises StudyError when they are not there or do not read."""
    path = folder / _NAME
    try:
        with open_plain(path) as file, np.load(file, allow_pickle=False) as archive:
            images, labels = archive["images"], archive["labels"]
    except UNREADABLE as error:
        raise StudyError(
            f"the study's sample images in {path} do not read ({error}): delete that file, and name the folder of the "
            "data with --data, to have them taken from there"
        ) from error
    if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
        raise StudyError(f"{path} does not hold images and their labels: delete it, and name the data with --data")
    return images, labels
