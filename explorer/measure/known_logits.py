"""Logits that were computed before: kept in a cache, named by whatever determines them, and taken only when whole."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.files import write_bytes
from explorer.hashing import content_key
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact


def known_logits(artifact: Artifact, variant: Variant, fingerprint: str, cache: Path) -> Path:
    """The file for the logits of every exit on the images of that fingerprint, named by whatever determines them.

    That is the artifact's files and the images, and the batch where it matters.
    """
    segments = [segment["sha256"] for segment in artifact.facts["segments"]]
    batch = None if artifact.facts["is_batch_invariant"] else variant.batch_size
    return cache / f"{content_key({'segments': segments, 'images': fingerprint, 'batch_size': batch})}.npz"


def are_whole(file: Path, n_exits: int, n_images: int) -> bool:
    """Whether `file` holds finite logits [n_exits, n_images, k]; one that was spoilt is as good as none."""
    try:
        with file.open("rb") as content, np.load(content) as archive:
            logits = archive["logits"]
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error):
        return False
    is_shaped = logits.ndim == 3 and logits.shape[:2] == (n_exits, n_images) and logits.dtype.kind == "f"
    return is_shaped and bool(np.isfinite(logits).all())


def keep_logits(file: Path, logits: NDArray[Any]) -> None:
    """Write the logits of every exit, whole or not at all. Raises OSError."""
    content = io.BytesIO()
    np.savez(content, logits=logits)
    write_bytes(file, content.getvalue())
