"""Pictures: image files to pixels, the way the data sets' own are decoded, resized to the model's input."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, UnidentifiedImageError

from explorer.deploy.server.refusals import Refused
from explorer.runtimes.staged import Array

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_MAX_PIXELS = 32 * 2**20  # 128 MiB while it is decoded
_TOO_LARGE = f"the image has more than {_MAX_PIXELS:,} pixels: make it smaller first"
# Modes of eight bits a channel, or fewer; Pillow would clip wider ones to white.
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"})
# What Pillow raises for files that are no images, cut short, or damaged.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)


def pixels_of(content: bytes, shape: tuple[int, int, int]) -> Array:
    """An image file as uint8 [1, c, h, w] of `shape` (c, h, w). Raises Refused (413, 415)."""
    channels, height, width = shape
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check(image)
            pixels = np.asarray(_resized(_colored(image, channels), (width, height)))
    except UnidentifiedImageError as error:
        raise Refused(415, f"this is not an image file: expected {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(413, _TOO_LARGE) from error
    except _DAMAGE as error:
        raise Refused(415, f"the image is damaged or cut short, and cannot be decoded ({error})") from error
    return np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1)[None])


def _check(image: Image.Image) -> None:
    """Before anything is decoded."""
    if image.width * image.height > _MAX_PIXELS:
        raise Refused(413, _TOO_LARGE)
    if image.mode not in _MODES:
        raise Refused(
            415, f"the image has more than eight bits a channel ({image.mode}): convert it to eight bits first"
        )


def _colored(image: Image.Image, channels: int) -> Image.Image:
    """As the model's color: gray for one channel; transparency is dropped."""
    if image.mode == "P" and "transparency" in image.info:
        # Pillow warns about palettes with transparent colors unless they go through RGBA.
        image = image.convert("RGBA")
    return image.convert("L" if channels == 1 else "RGB")


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
