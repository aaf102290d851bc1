"""samples.npz of a bundle: read without unpickling, in exactly the shapes that the manifest states."""

from __future__ import annotations

import ast
import io
import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.deploy.manifest import SAMPLES, Manifest
from explorer.errors import VerificationFailed
from explorer.runtimes.staged import exits_taken

_MAX_BYTES = 2**30
# NumPy writes 128 for a plain array.
_MAX_HEADER_BYTES = 1024
# Of the archive around the arrays: a directory of millions of names would take gigabytes to read.
_MAX_FRAME_BYTES = 2**16
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, SyntaxError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SampleArrays:
    """Images uint8 [n, c, h, w] and labels [n]; logits float32 [e, n, k], exits [n] and predictions [n] as measured."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    exits: NDArray[np.int64]
    predictions: NDArray[np.int64]

    def first(self, n: int) -> SampleArrays:
        """The first `n` images and what was made of them."""
        return SampleArrays(self.images[:n], self.labels[:n], self.logits[:, :n], self.exits[:n], self.predictions[:n])


def read_samples(content: bytes, manifest: Manifest) -> SampleArrays:
    """The arrays in the bytes of samples.npz. Raises VerificationFailed for anything but what the manifest states."""
    n, n_exits, n_classes = manifest.samples.n, manifest.execution.n_exits, len(manifest.output.classes)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "images": ("|u1", (n, *manifest.input.shape)),
        "labels": ("<i8", (n,)),
        "logits": ("<f4", (n_exits, n, n_classes)),
        "exits": ("<i8", (n,)),
        "predictions": ("<i8", (n,)),
    }
    total = sum(_n_bytes(*facts) for facts in expected.values())
    if len(content) > total + _MAX_FRAME_BYTES:
        raise VerificationFailed(f"{SAMPLES} has {len(content):,} bytes: {total:,} of values are expected")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = sorted(archive.namelist())
            if found != sorted(f"{name}.npy" for name in expected):
                raise VerificationFailed(f"{SAMPLES} holds {str(found)[:200]}: expected {', '.join(expected)}")
            arrays = {name: _member(archive, name, *facts) for name, facts in expected.items()}
    except _UNREADABLE as error:
        raise VerificationFailed(f"{SAMPLES} does not read: {error}") from error
    samples = SampleArrays(**arrays)
    _check_values(samples, manifest)
    return samples


def _member(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """One array; its sizes are known before a byte of it is unpacked. Raises one of _UNREADABLE."""
    info = archive.getinfo(f"{name}.npy")
    n_bytes = _n_bytes(dtype, shape)
    if n_bytes > _MAX_BYTES or not n_bytes < info.file_size <= n_bytes + _MAX_HEADER_BYTES:
        raise ValueError(f"{name} has {info.file_size:,} bytes, and {n_bytes:,} of values are expected")
    content = archive.read(info)
    start = info.file_size - n_bytes
    described = _header(name, content[:start])
    if described != {"descr": dtype, "fortran_order": False, "shape": shape}:
        raise ValueError(f"{name} is {described}, expected {np.dtype(dtype)} of the shape {list(shape)}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _n_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _header(name: str, content: bytes) -> Any:
    """What a .npy file says of its array, read as a literal: no class is looked up, so none is an object's."""
    if content[:8] != b"\x93NUMPY\x01\x00" or int.from_bytes(content[8:10], "little") != len(content) - 10:
        raise ValueError(f"{name} is not such an array as NumPy writes it")
    return ast.literal_eval(content[10:].decode("latin-1").strip())


def _check_values(samples: SampleArrays, manifest: Manifest) -> None:
    """What the arrays say of each other and of the manifest."""
    n_exits, n_classes = manifest.execution.n_exits, len(manifest.output.classes)
    for name, array, n in (
        ("labels", samples.labels, n_classes),
        ("exits", samples.exits, n_exits),
        ("predictions", samples.predictions, n_classes),
    ):
        if ((array < 0) | (array >= n)).any():
            raise VerificationFailed(f"{SAMPLES} has {name} that are not among 0 to {n - 1}")
    if not np.isfinite(samples.logits).all():
        raise VerificationFailed(f"{SAMPLES} has logits that are not finite numbers")
    # In a batch of images that depend on each other, those that stay are executed without those that left.
    if manifest.execution.is_batch_invariant or manifest.variant.batch_size == 1:
        exits = exits_taken(samples.logits, manifest.execution.exit_threshold)
        taken = np.take_along_axis(samples.logits, exits[None, :, None], axis=0)[0]
        if (exits != samples.exits).any() or (taken.argmax(axis=1) != samples.predictions).any():
            raise VerificationFailed(f"{SAMPLES} has exits or predictions that are not those of its own logits")
