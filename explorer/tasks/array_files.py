"""Arrays of numbers as inputs, and numbers as answers: the files of a task that has none of its own.

Part of every bundle of such a task; imports NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".npy", ".csv", ".txt")
_MAGIC = b"\x93NUMPY"


class UnreadableFile(ValueError):
    """A file that is not an input."""

    is_supported = True


def read(file: Path | BinaryIO, shape: Sequence[int]) -> NDArray[Any]:
    """Return the input [*shape] of a .npy file, of its type, or of a text of numbers, as float32.

    Raises UnreadableFile.
    """
    try:
        content = file.read_bytes() if isinstance(file, Path) else file.read()
        array = _array(content)
        if array.size != np.prod(shape, dtype=int) or array.dtype.kind not in "fiu":
            raise ValueError(f"it has {array.size} of {array.dtype}, expected numbers of the shape {list(shape)}")
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableFile(f"not an array of numbers: {error}") from error
    return np.ascontiguousarray(array.reshape(tuple(shape)))


def _array(content: bytes) -> NDArray[Any]:
    if content.startswith(_MAGIC):
        from io import BytesIO

        return np.asarray(np.load(BytesIO(content), allow_pickle=False))
    words = content.decode("utf-8").replace(",", " ").split()
    return np.array([float(word) for word in words], dtype=np.float32)


def answer(output: NDArray[Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of the output [k]."""
    return {"output": [float(value) for value in output]}


def text(made: Mapping[str, Any]) -> str:
    """Return an answer in one line."""
    return ", ".join(f"{value:.6g}" for value in made["output"])
