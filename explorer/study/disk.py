"""What the disk refuses, said in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.errors import ExplorerError, StudyError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""How the system says that nothing more can be written: the disk, the user's quota, or a file's largest size."""


@contextmanager
def disk_full_is_said(folder: Path) -> Iterator[None]:
    """Turns what a disk refuses into one sentence: a full one into ExplorerError, a file of the study into StudyError.

    Other files' errors pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ExplorerError(
                f"disk full: {error.filename or folder} cannot be written ({error.strerror}). Nothing is lost: free "
                "some space and start the study again to resume it"
            ) from error
        if not _is_inside(error.filename, folder):
            raise
        raise StudyError(
            f"{error.filename} cannot be used ({error.strerror}). Nothing is lost that was reported as finished: see "
            f"that {folder} is there and can be written, then start the study again to resume it"
        ) from error


def _is_inside(filename: object, folder: Path) -> bool:
    """Whether an error's file is the study's folder or lies in it."""
    if not isinstance(filename, str | os.PathLike):
        return False
    return Path(filename).absolute().is_relative_to(folder.absolute())
