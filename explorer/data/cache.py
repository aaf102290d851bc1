"""The array cache: folders of arrays that are made once, verified at every use, and made again when damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from explorer.errors import ExplorerError
from explorer.records import Progress
from explorer.system.files import new_folder, write_json
from explorer.system.hashing import cache_root, file_sha256

# Raised when the same source gives other arrays, so that entries of older versions are not used.
_FORMAT = 2
_CHECKSUMS = "sha256.json"
_FACTS = "facts.json"

Content = tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder of `<name>.npy` files, and JSON-ready facts about them."""

    folder: Path
    facts: Mapping[str, Any]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return every array [...] by name, memory-mapped and read-only. Raises OSError."""
        paths = self.folder.glob("*.npy")
        return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in paths}


def data_cache() -> Path:
    """Return the folder of all entries."""
    return cache_root() / "data" / f"format-{_FORMAT}"


@contextmanager
def writing_cache() -> Iterator[None]:
    """Explain in one sentence that the cache cannot be written. Raises ExplorerError for OSError."""
    try:
        yield
    except OSError as error:
        raise ExplorerError(
            f"the cache folder {data_cache()} cannot be written ({error.strerror or error}): make room for it, or name "
            "another folder with EXPLORER_CACHE"
        ) from error


@contextmanager
def locked(name: str, on_progress: Callable[[Progress], None]) -> Iterator[None]:
    """Hold the cache's lock `name`, which the system frees when its holder dies; report when it must wait."""
    with writing_cache():
        data_cache().mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_cache() / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_progress(Progress("wait for another process that prepares the same data"))
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def cached_entry(name: str, make: Callable[[], Content], on_progress: Callable[[Progress], None]) -> Entry:
    """Return the entry `name`, made by `make` when it is absent or its files do not have their checksums.

    Its arrays have the shapes [...] that `make` gave them. Of several processes one makes it and the others wait. When
    `make` raises, nothing is written.
    """
    folder = data_cache() / name
    if (entry := _whole_entry(folder)) is not None:
        return entry
    with locked(name, on_progress):
        if (entry := _whole_entry(folder)) is not None:  # another process has made it meanwhile
            return entry
        arrays, facts = make()
        with writing_cache():
            for left_over in (folder, *folder.parent.glob(f".{folder.name}.*.tmp")):
                if left_over.is_dir():
                    shutil.rmtree(left_over)
            with new_folder(folder) as draft:
                for array_name, array in arrays.items():
                    np.save(draft / f"{array_name}.npy", np.ascontiguousarray(array), allow_pickle=False)
                write_json(draft / _FACTS, dict(facts))
                write_json(draft / _CHECKSUMS, {path.name: file_sha256(path) for path in sorted(draft.iterdir())})
    return Entry(folder, json.loads((folder / _FACTS).read_bytes()))


def _whole_entry(folder: Path) -> Entry | None:
    """Return the entry as it was written, or None when it is absent, incomplete or changed."""
    try:
        checksums = json.loads((folder / _CHECKSUMS).read_bytes())
        if any(file_sha256(folder / file_name) != checksum for file_name, checksum in checksums.items()):
            return None
        return Entry(folder, json.loads((folder / _FACTS).read_bytes()))
    except (OSError, ValueError, AttributeError):  # a missing file, broken JSON, JSON that is not an object
        return None
