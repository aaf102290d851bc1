"""Options: what the user chooses about the server, and the limits that follow from the model's input."""

from __future__ import annotations

import math
from dataclasses import dataclass

from explorer.errors import UsageError

_MAX_WORKERS = 256
_MAX_QUEUE = 100_000
_MAX_DELAY_MS = 10_000.0
_MAX_IMAGES = 256
_MAX_TENSOR_BYTES = 4 * 2**20
_HEADER_BYTES = 64 * 2**10
_JSON_BYTES_A_VALUE = 8  # "255", a comma, and the spaces or the line break of those who indent
_PICTURE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Options:
    """How requests are executed.

    workers       threads that classify
    queue         requests that may wait for a worker; more are refused
    max_batch     images of different requests that a worker may classify together; 1: no micro-batching
    max_delay_ms  how long a worker may wait for them
    """

    workers: int = 1
    queue: int = 64
    max_batch: int = 1
    max_delay_ms: float = 0.0

    def __post_init__(self) -> None:
        for flag, value, most in (
            ("--workers", self.workers, _MAX_WORKERS),
            ("--queue", self.queue, _MAX_QUEUE),
            ("--max-batch", self.max_batch, _MAX_IMAGES),
        ):
            if not 1 <= value <= most:
                raise UsageError(f"{flag} {value}: expected a number from 1 to {most}")
        if not (math.isfinite(self.max_delay_ms) and 0 <= self.max_delay_ms <= _MAX_DELAY_MS):
            raise UsageError(f"--max-delay-ms {self.max_delay_ms:g}: expected milliseconds from 0 to {_MAX_DELAY_MS:g}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may bring: images in a tensor, bytes of the body that holds it, bytes of an image file."""

    images: int
    tensor_body_bytes: int
    picture_bytes: int = _PICTURE_BYTES

    @classmethod
    def of_input(cls, shape: tuple[int, int, int]) -> Limits:
        """The limits for images of `shape` (channels, height, width): a tensor of at most 4 MiB, one image at least."""
        n_values = math.prod(shape)
        images = max(1, min(_MAX_IMAGES, _MAX_TENSOR_BYTES // n_values))
        return cls(images, images * n_values * _JSON_BYTES_A_VALUE + _HEADER_BYTES)
