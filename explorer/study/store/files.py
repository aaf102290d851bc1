"""Files in a study's folder: artifacts, sample examples, and drafts that are removed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from explorer.errors import NotAvailable, StudyError
from explorer.records import Failure
from explorer.runtimes.artifact import Artifact
from explorer.space.values import SearchSpace
from explorer.study.evaluation import Evaluator
from explorer.study.store.database import remove_cold_journal
from explorer.study.store.location import DATABASE_NAME
from explorer.study.store.samples import UNREADABLE
from explorer.system import files
from explorer.system.files import open_plain, remove_drafts, remove_old_drafts, remove_old_scratch
from explorer.system.hashing import cache_root


@final
class Artifacts:
    """The artifacts in `folder`. Those that this process built are trusted, all others are checked once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trusted: set[str] = set()

    def trust(self, artifact: Artifact) -> None:
        """Trust an artifact that was just built."""
        self._trusted.add(artifact.folder.name)

    def stored(self, name: str) -> Artifact | Failure:
        """Return the artifact of that name, or why it is not loaded."""
        folder = self.folder / name
        try:
            artifact = Artifact.read(folder)
            if name not in self._trusted:
                if damaged := artifact.damaged_files():
                    return Failure("artifact_changed", {"files": ", ".join(damaged), "folder": str(folder)})
                if unsafe := artifact.unsafe_files():
                    return Failure("artifact_unsafe", {"reason": unsafe[0], "folder": str(folder)})
        except (OSError, ValueError, NotAvailable) as error:
            values = {"artifact": name, "error": f"{type(error).__name__}: {error}"}
            return Failure("artifact_unreadable", values)
        self._trusted.add(name)
        return artifact


@contextmanager
def no_drafts_left(folder: Path, evaluator: Evaluator) -> Iterator[None]:
    """Remove the drafts of a killed coordinator now, and those of this one when the block ends.

    The caller holds the study's lock. At the end the evaluator is closed, since its builder may still be writing.
    Drafts in the cache and among temporary files, which other processes share, are removed when they are old. Raises
    OSError when the folder cannot be written.
    """
    remove_drafts(folder)
    remove_cold_journal(folder / DATABASE_NAME)
    remove_old_drafts(cache_root())
    remove_old_scratch()
    try:
        yield
    finally:
        evaluator.close()
        with suppress(OSError):  # what stays is removed by the next start
            remove_drafts(folder)


_NAME = "samples.npz"
_FEWEST = 16


def store_sample_examples(folder: Path, inputs: Path, targets: Path, space: SearchSpace) -> None:
    """Write the first examples of the `.npy` files `inputs` and `targets` into the study's folder, unless they exist.

    As many as the largest batch of the space, since an example's outputs may depend on its batch. Raises OSError.
    """
    target = folder / _NAME
    if target.is_file():
        return
    n = max(_FEWEST, *(int(str(size)) for size in space.parameters["batch_size"].values))
    buffer = io.BytesIO()
    np.savez(
        buffer,
        inputs=np.load(inputs, mmap_mode="r")[:n],
        targets=np.load(targets, mmap_mode="r")[:n],
    )
    files.write_bytes(target, buffer.getvalue())


def has_sample_examples(folder: Path) -> bool:
    """Return whether the study's folder has a file of sample examples."""
    return (folder / _NAME).exists()


def read_sample_examples(folder: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return inputs [n, ...] and targets [n, ...]. Raises StudyError when they are missing or unreadable."""
    path = folder / _NAME
    try:
        with open_plain(path) as file, np.load(file, allow_pickle=False) as archive:
            inputs, targets = archive["inputs"], archive["targets"]
    except UNREADABLE as error:
        raise StudyError(
            f"the study's sample examples in {path} do not read ({error}): delete that file, and name the folder of "
            "the data with --data, to have them taken from there"
        ) from error
    if not inputs.ndim or not targets.ndim or not 0 < len(inputs) == len(targets):
        raise StudyError(f"{path} does not hold inputs and their targets: delete it, and name the data with --data")
    return inputs, targets
