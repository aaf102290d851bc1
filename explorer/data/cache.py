"""Folders of arrays that are made once, checked at every use, and made again when they are damaged."""

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

from explorer.cache import cache_root
from explorer.errors import ExplorerError
from explorer.files import new_folder, write_json
from explorer.hashing import file_sha256
from explorer.records import Progress

# Raised when the same source would give other arrays, so that entries of older versions are not taken for new ones.
_FORMAT = 1
_CHECKSUMS = "sha256.json"
_FACTS = "facts.json"

Content = tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder of `<name>.npy` files, and JSON-ready facts about them."""

    folder: Path
    facts: Mapping[str, Any]

    def array(self, name: str) -> NDArray[Any]:
        """The array `name`, memory-mapped and read-only."""
        array: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return array


def data_cache() -> Path:
    """Where this package keeps its entries."""
    return cache_root() / "data" / f"format-{_FORMAT}"


@contextmanager
def writing_cache() -> Iterator[None]:
    """Say in one sentence what it means when the cache cannot be written. Raises ExplorerError for OSError."""
    try:
        yield
    except OSError as error:
        raise ExplorerError(
            f"the cache folder {data_cache()} cannot be written ({error.strerror or error}): make room for it, or name "
            "another folder with EXPLORER_CACHE"
        ) from error


@contextmanager
def locked(name: str, on_progress: Callable[[Progress], None]) -> Iterator[None]:
    """Hold the cache's lock `name`; the system frees it when its holder dies. Waits, and says so, when it is taken."""
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


def kept(name: str, make: Callable[[], Content], on_progress: Callable[[Progress], None]) -> Entry:
    """The entry `name`, made by `make` when it is absent or its files do not have the checksums they were given.

    Of several processes one makes it and the others wait. When `make` raises, nothing is left behind.
    """
    folder = data_cache() / name
    entry = _whole_entry(folder)
    if entry is not None:
        return entry
    with locked(name, on_progress):
        entry = _whole_entry(folder)
        if entry is not None:
            return entry
        arrays, facts = make()
        with writing_cache():
            for left_over in (folder, *folder.parent.glob(f".{folder.name}.*.tmp")):
                if left_over.is_dir():
                    shutil.rmtree(left_over)
            with new_folder(folder) as draft:
                _write(draft, arrays, facts)
    return Entry(folder, json.loads((folder / _FACTS).read_bytes()))


def _write(draft: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    for array_name, array in arrays.items():
        np.save(draft / f"{array_name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    write_json(draft / _FACTS, dict(facts))
    write_json(draft / _CHECKSUMS, {path.name: file_sha256(path) for path in sorted(draft.iterdir())})


def _whole_entry(folder: Path) -> Entry | None:
    """The entry as it was written, or None when it is absent, cut short or changed."""
    try:
        checksums = json.loads((folder / _CHECKSUMS).read_bytes())
        if any(file_sha256(folder / file_name) != checksum for file_name, checksum in checksums.items()):
            return None
        return Entry(folder, json.loads((folder / _FACTS).read_bytes()))
    except (OSError, ValueError, AttributeError):  # a missing file, broken JSON, JSON that is not an object
        return None
