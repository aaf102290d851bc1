"""Files that are whole or absent: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_OLD_S = 86_400.0  # nobody writes one file for so long
_SCRATCH = ".explorer."


def flush_to_disk(path: Path) -> None:
    """Make a file, or the entries of a folder, survive a power cut (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What the system refuses by a descriptor names no file: it is told of `path`."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, atomically. Raises OSError and leaves the old file when that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with _naming(path), os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    flush_to_disk(path.parent)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content` in UTF-8, atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON, atomically. NaN and infinities are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextmanager
def new_folder(path: Path, is_replacing: bool = False) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    When there is a folder `path` already (another process made the same content), that one is kept, unless
    `is_replacing`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield draft
        os.chmod(draft, 0o755)
        for entry in draft.rglob("*"):
            flush_to_disk(entry)
        flush_to_disk(draft)
        if is_replacing and path.is_dir():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old.tmp", dir=path.parent))
            os.rename(path, old)  # onto an empty folder, which POSIX allows
            os.rename(draft, path)
            flush_to_disk(path.parent)
            shutil.rmtree(old)
            return
        try:
            os.rename(draft, path)
        except OSError:
            if not path.is_dir():
                raise
        flush_to_disk(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes left half-written under `folder`. Nobody else may be writing there."""
    for draft in sorted(folder.rglob(".*.tmp")):
        _remove(draft)


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder of ours, which `remove_old_scratch` knows if this process is killed."""
    return tempfile.TemporaryDirectory(prefix=_SCRATCH, suffix=".tmp")


def remove_old_drafts(folder: Path) -> None:
    """Remove what processes that were killed a day ago or longer left half-written under `folder`.

    Others may be writing there.
    """
    _remove_old(folder.rglob(".*.tmp"))


def remove_old_scratch() -> None:
    """Remove the scratch folders of processes that were killed a day ago or longer."""
    _remove_old(Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*.tmp"))


def remove_old_siblings(path: Path) -> None:
    """Remove what processes that were killed a day ago or longer left half-written of `path`, beside it."""
    _remove_old(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))


def _remove_old(drafts: Iterable[Path]) -> None:
    before = time.time() - _OLD_S
    for draft in sorted(drafts):
        with suppress(OSError):  # another process removes it too, or it is somebody else's
            if draft.lstat().st_mtime < before:
                _remove(draft)


def _remove(draft: Path) -> None:
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)  # it may have lain in a draft that is already gone
