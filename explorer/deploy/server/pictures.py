"""Pictures: image files from anywhere to pixels, the way a bundle's run.py reads them."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from explorer.deploy.classifier import DAMAGE, FORMATS, TooManyBits, pixels_of
from explorer.deploy.server.refusals import Refused
from explorer.runtimes.staged import Array

_MAX_PIXELS = 32 * 2**20  # 128 MiB while it is decoded
_TOO_LARGE = f"the image has more than {_MAX_PIXELS:,} pixels: make it smaller first"


def picture(content: bytes, shape: tuple[int, int, int]) -> Array:
    """An image file as uint8 [1, c, h, w] of `shape` (c, h, w). Raises Refused (413, 415)."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > _MAX_PIXELS:  # before anything is decoded
                raise Refused(413, _TOO_LARGE)
            return pixels_of(image, shape)[None]
    except UnidentifiedImageError as error:
        raise Refused(415, f"this is not an image file: expected {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(413, _TOO_LARGE) from error
    except TooManyBits as error:
        raise Refused(415, str(error)) from error
    except DAMAGE as error:
        raise Refused(415, f"the image is damaged or cut short, and cannot be decoded ({error})") from error
