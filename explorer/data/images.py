"""Decode image files into one array of pixels, in threads: Pillow releases the interpreter's lock."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explorer.data.dataset import Images, RawDataset
from explorer.data.tree import ImageFile, Tree
from explorer.errors import DataNotAvailable
from explorer.records import Progress
from explorer.system.cores import available
from explorer.system.environment import memory_mib

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
# Modes of at most eight bits per channel; Pillow would clip wider ones to white.
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"})
_PER_TASK = 256
_MAX_SIDE = 8192  # as in the manifest of a bundle

# Raised by Pillow for files that are not images, incomplete, or damaged.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


def decode_tree(tree: Tree, on_progress: Callable[[Progress], None], size: tuple[int, int] | None = None) -> RawDataset:
    """Decode every image of `tree` as RGB, uint8 [n, 3, h, w].

    All must have `size` (height, width); by default the first image's. Raises DataNotAvailable naming the first file
    that has another size, is not an image, or has more than eight bits per channel; and for images that together exceed
    the machine's memory.
    """
    files = tree.train + tree.test
    why = "the data set's images have"
    if size is None:
        first = _decoded(files[0], None, "")
        size, why = (first.shape[0], first.shape[1]), f"{files[0]} has"
    _check_room(len(files), size)
    pixels = _decode_all(files, size, why, on_progress)
    number = {name: index for index, name in enumerate(tree.class_names)}
    labels = np.array([number[file.class_name] for file in files], dtype=np.int64)
    n = len(tree.train)
    facts = {"classes": list(tree.class_names)}
    return RawDataset(pixels[:n], labels[:n], pixels[n:], labels[n:], facts)


def stated_size(file: ImageFile) -> tuple[int, int] | None:
    """Return (height, width) from the file's header, without decoding; None if it cannot be read."""
    try:
        with Image.open(io.BytesIO(file.content()), formats=_FORMATS) as image:
            return image.height, image.width
    except _DAMAGE:
        return None


def _check_room(n: int, size: tuple[int, int]) -> None:
    needed_mib = n * 3 * size[0] * size[1] / 2**20
    if needed_mib > memory_mib():
        raise DataNotAvailable(
            f"{n} images of {size[1]}×{size[0]} pixels take {needed_mib:,.0f} MiB, and this machine has "
            f"{memory_mib():,} MiB of memory: resize them, or take fewer"
        )


def _decode_all(
    files: Sequence[ImageFile], size: tuple[int, int], why: str, on_progress: Callable[[Progress], None]
) -> Images:
    pixels: Images = np.empty((len(files), 3, *size), dtype=np.uint8)

    def decode_some(start: int) -> int:
        chosen = files[start : start + _PER_TASK]
        for index, file in enumerate(chosen, start):
            pixels[index] = _decoded(file, size, why).transpose(2, 0, 1)
        return len(chosen)

    done = 0
    executor = ThreadPoolExecutor(max_workers=len(available()), thread_name_prefix="decode")
    try:
        on_progress(Progress("decode images", 0, len(files)))
        for n_decoded in executor.map(decode_some, range(0, len(files), _PER_TASK)):
            done += n_decoded
            on_progress(Progress("decode images", done, len(files)))
    finally:
        executor.shutdown(cancel_futures=True)
    return pixels


def _decoded(file: ImageFile, size: tuple[int, int] | None, why: str) -> NDArray[np.uint8]:
    """Return pixels uint8 [h, w, 3]. The size is checked before decoding."""
    try:
        with Image.open(io.BytesIO(file.content()), formats=_FORMATS) as image:
            if size is not None and (image.height, image.width) != size:
                raise DataNotAvailable(
                    f"{file} is {image.width}×{image.height} pixels, but {why} {size[1]}×{size[0]}: "
                    "resize the images to one size first"
                )
            if max(image.size) > _MAX_SIDE:
                raise DataNotAvailable(
                    f"{file} is {image.width}×{image.height} pixels, and at most {_MAX_SIDE} a side are read: "
                    "resize the images first"
                )
            if image.mode not in _MODES:
                raise DataNotAvailable(
                    f"{file} has more than eight bits a channel ({image.mode}): convert it to eight bits first"
                )
            return np.asarray(_rgb(image))
    except _DAMAGE as error:
        raise DataNotAvailable(
            f"{file} cannot be decoded as {', '.join(_FORMATS)} ({error}): repair or remove it"
        ) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB, without its transparency."""
    if image.mode == "P" and "transparency" in image.info:
        # Pillow warns about palettes with transparent colors unless they go through RGBA.
        return image.convert("RGBA").convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
