"""Image files as inputs of a classifier, and its logits as classes. Part of every bundle; imports NumPy.

Pillow is imported by the functions that read files: a process that is measured needs only the confidence.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
MAX_PIXELS = 32 * 2**20  # of an upload: 128 MiB while it is decoded
# Modes with at most eight bits per channel; Pillow would clip wider ones to white.
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"})
# Exceptions of Pillow for files that are no images, cut short, or damaged.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")


class UnreadableFile(ValueError):
    """A file that is not an input. `is_supported` False: an image whose channels have more than eight bits."""

    is_supported = True
    is_too_large = False


class TooManyBits(UnreadableFile):
    """An image whose channels have more than eight bits."""

    is_supported = False


class TooLarge(UnreadableFile):
    """An image of an untrusted client that would take too much memory."""

    is_too_large = True


def read(file: Path | BinaryIO, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return the pixels of an image file as uint8 [c, h, w] of `shape`: gray or RGB, without transparency, resized.

    Raises UnreadableFile.
    """
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            return _pixels(image, shape)
    except UnreadableFile:
        raise
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise UnreadableFile(f"not an image that Pillow reads: {error}") from error


def read_upload(content: bytes, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return the pixels [c, h, w] of an image file in memory, as `read` does. Raises UnreadableFile, TooLarge."""
    from PIL import Image, UnidentifiedImageError

    too_large = f"the image has more than {MAX_PIXELS:,} pixels: make it smaller first"
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:  # before anything is decoded
                raise TooLarge(too_large)
            return _pixels(image, shape)
    except UnidentifiedImageError as error:
        raise UnreadableFile(f"this is not an image file: expected {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge(too_large) from error
    except UnreadableFile:
        raise
    except _DAMAGE as error:
        raise UnreadableFile(f"the image is damaged or cut short, and cannot be decoded ({error})") from error


def _pixels(image: Image.Image, shape: Sequence[int]) -> NDArray[np.uint8]:
    from PIL.Image import Resampling

    channels, height, width = shape
    if image.mode not in _MODES:
        raise TooManyBits(
            f"the image has more than eight bits a channel ({image.mode}): convert it to eight bits first"
        )
    # Pillow warns about palettes with transparent colors unless they go through RGBA.
    flat = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
    flat = flat.convert("L" if channels == 1 else "RGB")
    if flat.size != (width, height):
        flat = flat.resize((width, height), Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(flat).reshape(height, width, channels).transpose(2, 0, 1))


def confidence(logits: NDArray[Any]) -> NDArray[Any]:
    """Return the largest softmax probability of each row: [..., k] -> [...], in [1/k, 1]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(1.0 / np.exp(shifted).sum(axis=-1))


def answer(logits: NDArray[Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the most probable class and its softmax probability, given logits [k] and the facts' `classes`."""
    shares = np.exp(logits - logits.max())
    best = int(shares.argmax())
    return {"label": facts["classes"][best], "probability": float(shares[best] / shares.sum())}


def text(made: Mapping[str, Any]) -> str:
    """Return an answer in one line, with the `exit` taken if it is there."""
    taken = f", exit {made['exit']}" if "exit" in made else ""
    return f"{made['label']} ({made['probability']:.1%}{taken})"
