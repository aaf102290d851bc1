"""Disk errors: detect them behind other exceptions, pass them between processes, explain them in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.errors import ExplorerError, StudyError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers for a full disk, an exhausted quota, and a file of maximal size."""

OF_THE_DISK = DISK_FULL | {errno.EROFS, errno.EIO, errno.ESTALE}
"""Error numbers that stand for the disk even without a file's name, as after a write or a flush."""

FAILURE_KIND = "disk full"
"""The kind of failure by which a worker process reports a full disk."""


def full_disk(error: BaseException) -> OSError | None:
    """Return the full-disk error among an exception and its causes, or None."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in DISK_FULL:
            return found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return None


def failure_reason(error: OSError) -> str:
    """Return a disk error as the reason of a failure; `disk_error_of` is the inverse."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def disk_error_of(reason: str) -> OSError:
    """Return the disk error that a worker process reported: its words, and its file if there was one."""
    words, _, file = reason.partition(": ")
    return OSError(errno.ENOSPC, words, file or None)


@contextmanager
def explaining_disk_errors(folder: Path) -> Iterator[None]:
    """Raise disk errors as one sentence: ExplorerError for a full disk, StudyError for a file of the study.

    A failed write or flush without a file's name counts as the study's. Errors of other files pass unchanged.
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
    """Return whether an error's file is the study's folder or lies in it."""
    if not isinstance(filename, str | os.PathLike):
        return False
    return Path(filename).absolute().is_relative_to(folder.absolute())
