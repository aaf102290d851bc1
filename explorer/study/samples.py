"""Samples: the raw measurements of a trial, as its artifact's folder keeps them."""

from __future__ import annotations

import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.plain_file import open_plain, read_plain_text
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.sound import json_value

_ARTIFACT = re.compile(r"[A-Za-z0-9_-]+")  # a name and no path, whatever a record says
# No probe writes as much; a damaged or foreign file is not worth the memory.
_MAX_MEMBER_BYTES = 64 * 2**20
_Read = TypeVar("_Read")


class _Empty(ValueError):
    """An archive that reads, and holds nothing."""


UNREADABLE = (
    OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
    RuntimeError,  # of a member that is encrypted, or compressed in a way that nobody reads (NotImplementedError)
    ValueError, TypeError, LookupError, OverflowError, tokenize.TokenError,  # of what NumPy says of an array
)  # fmt: skip
"""What reading a damaged .npz file may raise."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The time of each query, in their order [q] in ns, and the class that each validation image got [n]."""

    latency_ns: NDArray[np.int64]
    predictions: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was measured on the first validation images.

    logits [e, n, k] of every exit, exits [n] that the images took, predictions [n]: the class of that exit's logits
    """

    logits: NDArray[np.float32]
    exits: NDArray[np.int64]
    predictions: NDArray[np.int64]


def trial_samples(result: StudyResult, trial: TrialRecord) -> Samples | str:
    """The samples of that trial; or why there are none, in a sentence.

    An artifact is measured by several trials, and a forked trial brings its measurements under its old number: the
    files are recognized by the variant and the latency that they say.
    """
    archive = _archive(result, trial)
    return archive if isinstance(archive, str) else _read(archive, _samples)


def trial_outputs(result: StudyResult, trial: TrialRecord, n: int) -> Outputs | str:
    """What the trial's artifact made of the first `n` validation images; or why that is not known, in a sentence."""

    def outputs(archive: zipfile.ZipFile) -> Outputs:
        logits = _member(archive, "logits", "f", n_axes=3).astype(np.float32, copy=False)[:, :n]
        exits, predictions = (_member(archive, name, "iu")[:n].astype(np.int64) for name in ("exits", "predictions"))
        if not logits.shape[1] == len(exits) == len(predictions):
            raise ValueError("not as many exits as logits")
        return Outputs(logits, exits, predictions)

    archive = _archive(result, trial)
    return archive if isinstance(archive, str) else _read(archive, outputs)


def _archive(result: StudyResult, trial: TrialRecord) -> Path | str:
    """The .npz file of the trial's measurement; or why there is none."""
    artifact = trial.outcome.artifact
    if artifact is None:
        return "the trial has no artifact: it failed before one was stored"
    try:
        root = (result.folder / "artifacts").resolve()
        folder = (root / artifact / "measurements").resolve() if _ARTIFACT.fullmatch(artifact) else root
    except (OSError, RuntimeError) as error:  # a loop of links
        return f"the trial's artifact cannot be reached: {error}"
    if folder.parent.parent != root:
        return "the trial's artifact is not in the study's folder"
    if not folder.is_dir():
        return "the study's folder does not have the trial's artifact and its samples (any more)"
    for description in _descriptions(folder, trial):
        if _is_of(description, trial):
            archive = description.with_suffix(".npz")
            is_inside = archive.resolve().is_relative_to(root)
            return archive if is_inside else "the trial's samples are not in the study's folder"
    return "no measurement beside the artifact is this trial's"


def _descriptions(folder: Path, trial: TrialRecord) -> Iterator[Path]:
    """The JSON files of the artifact's measurements, the likely one first."""
    own = folder / f"trial-{trial.number:05d}.json"
    yield own
    yield from (path for path in sorted(folder.glob("trial-*.json")) if path != own)


def _is_of(description: Path, trial: TrialRecord) -> bool:
    """Whether that measurement gave the trial its numbers; one that does not read did not."""
    try:
        values = json_value(read_plain_text(description))
        latency = values["metrics"]["latency_ms"]["value"]
        variant = values["variant"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(variant == trial.variant.to_json() and latency == trial.values().get("latency_ms"))


def _read(path: Path, read: Callable[[zipfile.ZipFile], _Read]) -> _Read | str:
    """What `read` takes from the archive; or why it does not read."""
    try:
        with open_plain(path) as file, zipfile.ZipFile(file) as archive:
            return read(archive)
    except UNREADABLE as error:
        return f"the trial's samples do not read: {str(error) if isinstance(error, _Empty) else type(error).__name__}"


def _samples(archive: zipfile.ZipFile) -> Samples:
    latency_ns, predictions = (_member(archive, name, "iu").astype(np.int64) for name in ("latency_ns", "predictions"))
    if not len(latency_ns) or (latency_ns < 0).any():
        raise _Empty("no times of queries")
    return Samples(latency_ns, predictions)


def _member(archive: zipfile.ZipFile, name: str, kinds: str, n_axes: int = 1) -> NDArray[Any]:
    """One array with so many axes, its type one of NumPy's `kinds`. Raises one of UNREADABLE."""
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > _MAX_MEMBER_BYTES:
        raise ValueError(f"{name} has {info.file_size} bytes")
    with archive.open(info) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if array.ndim != n_axes or array.dtype.kind not in kinds:
        raise ValueError(f"{name} has the shape {array.shape} and the type {array.dtype}")
    return array
