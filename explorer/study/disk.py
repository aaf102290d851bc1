"""A full disk, said in one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.errors import ExplorerError

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_full_is_said(folder: Path) -> Iterator[None]:
    """Turns the errors of a full disk into one sentence (ExplorerError)."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise ExplorerError(
            f"disk full: {error.filename or folder} cannot be written ({error.strerror}). Nothing is lost: free some "
            "space and start the study again to resume it"
        ) from error
