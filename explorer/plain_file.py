"""A stranger's file is opened without waiting for anybody: a named pipe in its place would never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path) -> BinaryIO:
    """The file, open for reading. Raises OSError as `open` does, and ValueError when it is not a regular file."""
    # Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise ValueError(f"{path} is not a regular file")


def read_plain_text(path: Path) -> str:
    """Its content as UTF-8. Raises OSError as `open` does, and ValueError for no regular file or no text."""
    with open_plain(path) as file:
        return file.read().decode("utf-8")
