"""What the disk refuses, said in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.disk_errors import DISK_FULL, OF_THE_DISK
from explorer.errors import ExplorerError, StudyError


@contextmanager
def disk_full_is_said(folder: Path) -> Iterator[None]:
    """Turns what a disk refuses into one sentence: a full one into ExplorerError, a file of the study into StudyError.

    A write or a flush that is refused without a file's name is taken for the study's. Other files' errors pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ExplorerError(
                f"disk full: {error.filename or folder} cannot be written ({error.strerror}). Nothing is lost: free "
                "some space and start the study again to resume it"
            ) from error
        is_unnamed = error.filename is None and error.errno in OF_THE_DISK
        if not is_unnamed and not _is_inside(error.filename, folder):
            raise
        raise StudyError(
            f"{error.filename or folder} cannot be used ({error.strerror}). Nothing is lost that was reported as "
            f"finished: see that {folder} is there and can be written, then start the study again to resume it"
        ) from error


def _is_inside(filename: object, folder: Path) -> bool:
    """Whether an error's file is the study's folder or lies in it."""
    if not isinstance(filename, str | os.PathLike):
        return False
    return Path(filename).absolute().is_relative_to(folder.absolute())
