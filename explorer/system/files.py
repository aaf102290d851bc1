"""Files that are whole or absent: written as drafts, flushed, renamed; and untrusted files opened safely."""

from __future__ import annotations

import glob
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

_OLD_S = 86_400.0  # no write of one file takes that long
_SCRATCH = ".explorer."


def flush_to_disk(path: Path) -> None:
    """Make a file, or the entries of a folder, survive a power cut (fsync). Raises OSError that names `path`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add `path` to an OSError without a file's name, as operations on descriptors raise."""
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
    """Replace `path` by `content` in UTF-8, atomically. Raises OSError."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON, atomically. Raises OSError, and ValueError for NaN and infinities."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextmanager
def new_folder(path: Path, is_replacing: bool = False) -> Iterator[Path]:
    """Yield a draft folder that becomes `path` when the block succeeds, and is removed when it raises.

    An existing folder `path` (another process made the same content) is retained, unless `is_replacing`.
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
    """Remove all drafts under `folder`. No other process may be writing there."""
    for draft in sorted(folder.rglob(".*.tmp")):
        _remove(draft)


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder that `remove_old_scratch` finds if this process is killed."""
    return tempfile.TemporaryDirectory(prefix=_SCRATCH, suffix=".tmp")


def remove_old_drafts(folder: Path) -> None:
    """Remove drafts under `folder` that are older than a day; other processes may be writing there."""
    _remove_old(folder.rglob(".*.tmp"))


def remove_old_scratch() -> None:
    """Remove scratch folders that are older than a day."""
    _remove_old(Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*.tmp"))


def remove_old_siblings(path: Path) -> None:
    """Remove drafts of `path`, beside it, that are older than a day."""
    _remove_old(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))


def _remove_old(drafts: Iterable[Path]) -> None:
    before = time.time() - _OLD_S
    for draft in sorted(drafts):
        with suppress(OSError):  # another process removes it too, or it belongs to another user
            if draft.lstat().st_mtime < before:
                _remove(draft)


def _remove(draft: Path) -> None:
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)  # it may have been inside a draft that is already removed


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError as `open` does, and ValueError for other kinds of files."""
    # Without O_NONBLOCK, opening a named pipe would block until a writer opens it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise ValueError(f"{path} is not a regular file")


def read_plain_text(path: Path) -> str:
    """Return the content of a regular file as UTF-8. Raises OSError, and ValueError for no regular file or no UTF-8."""
    with open_plain(path) as file:
        return file.read().decode("utf-8")
