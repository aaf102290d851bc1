"""What a disk refuses: the errors by which the system says so, and where libraries hide them."""

from __future__ import annotations

import errno

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How the system says that nothing more can be written: the disk, the user's quota, or a file's largest size."""

OF_THE_DISK = DISK_FULL | {errno.EROFS, errno.EIO, errno.ESTALE}
"""What the system says of a disk also where it names no file: of a write, or of a flush."""

FAILURE_KIND = "disk full"
"""The kind of failure by which a child process tells its parent of a full disk."""


def full_disk(error: BaseException) -> OSError | None:
    """The full disk that an exception came of, however often it was translated since; None when there was none."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in DISK_FULL:
            return found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return None


def told(error: OSError) -> str:
    """A refusal as the reason of a failure, from which `heard` makes it again."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


def heard(reason: str) -> OSError:
    """The refusal that a child process has `told`: its words, and its file if it named one."""
    words, _, file = reason.partition(": ")
    return OSError(errno.ENOSPC, words, file or None)
