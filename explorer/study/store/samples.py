"""Read the raw samples of a trial from its artifact's folder."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.measure.results import SCORES
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.journal import ARTIFACT_NAME
from explorer.study.store.validation import json_value
from explorer.system.files import open_plain, read_plain_text

# No probe writes as much; a damaged or foreign file must not fill the memory.
_MAX_MEMBER_BYTES = 64 * 2**20
_Read = TypeVar("_Read")


class _Empty(ValueError):
    """A readable archive without samples."""


UNREADABLE = (
    OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
    RuntimeError,  # of an encrypted member, or an unsupported compression (NotImplementedError)
    ValueError, TypeError, LookupError, OverflowError, tokenize.TokenError,  # of what NumPy says of an array
)  # fmt: skip
"""Errors of reading a damaged .npz file."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The time of each query that counts, and scores [n] of the validation examples by metric.

    latency_ns [q], in order; which [q]: the number of each among all queries, which are the same in every measurement
    """

    latency_ns: NDArray[np.int64]
    which: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs [e, n, k] of every exit, exits [n] taken, answers [n, k] there, to the first validation examples."""

    outputs: NDArray[np.float32]
    exits: NDArray[np.int64]
    answers: NDArray[np.float32]


def trial_samples(result: StudyResult, trial: TrialRecord) -> Samples | str:
    """Return the trial's samples; or why there are none, in a sentence.

    An artifact may be measured by several trials, and a forked trial's files have its old number: files are recognized
    by the variant and latency in them.
    """
    archive = measurement_file(result, trial)
    return archive if isinstance(archive, str) else _read_archive(archive, _samples)


def trial_outputs(result: StudyResult, trial: TrialRecord, n: int) -> Outputs | str:
    """Return the artifact's outputs on the first `n` validation examples; or why they are unknown, in a sentence."""

    def outputs(archive: zipfile.ZipFile) -> Outputs:
        made = _member(archive, "outputs", "f", n_axes=3).astype(np.float32, copy=False)[:, :n]
        exits = _member(archive, "exits", "iu")[:n].astype(np.int64)
        answers = _member(archive, "answers", "f", n_axes=2).astype(np.float32, copy=False)[:n]
        if not made.shape[1] == len(exits) == len(answers):
            raise ValueError("not as many exits as outputs")
        return Outputs(made, exits, answers)

    archive = measurement_file(result, trial)
    return archive if isinstance(archive, str) else _read_archive(archive, outputs)


def measurement_file(result: StudyResult, trial: TrialRecord) -> Path | str:
    """Return the .npz file of the trial's measurement; or why there is none."""
    artifact = trial.outcome.artifact
    if artifact is None:
        return "the trial has no artifact: it failed before one was stored"
    try:
        root = (result.folder / "artifacts").resolve()
        folder = (root / artifact / "measurements").resolve() if ARTIFACT_NAME.fullmatch(artifact) else root
    except (OSError, RuntimeError) as error:  # a loop of links
        return f"the trial's artifact cannot be reached: {error}"
    if folder.parent.parent != root:
        return "the trial's artifact is not in the study's folder"
    if not folder.is_dir():
        return "the study's folder does not have the trial's artifact and its samples (any more)"
    own = folder / f"trial-{trial.number:05d}.json"  # the likely one
    for description in (own, *(path for path in sorted(folder.glob("trial-*.json")) if path != own)):
        if _is_of(description, trial):
            archive = description.with_suffix(".npz")
            is_inside = archive.resolve().is_relative_to(root)
            return archive if is_inside else "the trial's samples are not in the study's folder"
    return "no measurement beside the artifact is this trial's"


def _is_of(description: Path, trial: TrialRecord) -> bool:
    """Return whether that measurement gave the trial its numbers; False for an unreadable one."""
    try:
        values = json_value(read_plain_text(description))
        latency = values["metrics"]["latency_experienced_ms"]["value"]  # another quiet level does not change it
        variant = values["variant"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(variant == trial.variant.to_json() and latency == trial.values().get("latency_experienced_ms"))


def _read_archive(path: Path, read: Callable[[zipfile.ZipFile], _Read]) -> _Read | str:
    """Return what `read` takes from the archive; or why it cannot be read."""
    try:
        with open_plain(path) as file, zipfile.ZipFile(file) as archive:
            return read(archive)
    except UNREADABLE as error:
        return f"the trial's samples do not read: {str(error) if isinstance(error, _Empty) else type(error).__name__}"


def _samples(archive: zipfile.ZipFile) -> Samples:
    latency_ns = _member(archive, "latency_ns", "iu").astype(np.int64)
    which = np.flatnonzero(_member(archive, "latency_counts", "iu"))
    if not len(which) or which[-1] >= len(latency_ns) or (latency_ns < 0).any():
        raise _Empty("no times of queries")
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.startswith(SCORES)]
    scores = {name.removeprefix(SCORES): _member(archive, name, "f").astype(np.float64) for name in names}
    if not all(np.isfinite(of_each).all() for of_each in scores.values()):
        raise ValueError("a score is not finite")
    return Samples(latency_ns[which], which, scores)


def _member(archive: zipfile.ZipFile, name: str, kinds: str, n_axes: int = 1) -> NDArray[Any]:
    """Return an array with so many axes and a type of NumPy's `kinds`. Raises one of UNREADABLE."""
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > _MAX_MEMBER_BYTES:
        raise ValueError(f"{name} has {info.file_size} bytes")
    with archive.open(info) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if array.ndim != n_axes or array.dtype.kind not in kinds:
        raise ValueError(f"{name} has the shape {array.shape} and the type {array.dtype}")
    return array
