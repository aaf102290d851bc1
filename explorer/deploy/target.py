"""Where an export goes: a new folder, or with --force in the place of an earlier export."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer.deploy.manifest import MANIFEST
from explorer.disk_errors import DISK_FULL
from explorer.errors import ExplorerError, UsageError
from explorer.files import new_folder, remove_old_siblings

# One of these is in whatever this package exports: --force replaces nothing else.
_OURS = (MANIFEST, "model.onnx", "MLmodel", "*/config.pbtxt")


def check_target(path: Path, is_forced: bool) -> None:
    """Raises UsageError when an export cannot go there."""
    if not os.path.lexists(path):
        return
    if not path.is_dir() or path.is_symlink():
        raise UsageError(f"{path} is there and is not a folder: name another one with -o")
    is_empty = not any(path.iterdir())
    if is_empty or (is_forced and any(next(path.glob(name), None) for name in _OURS)):
        return
    if is_forced:
        raise UsageError(f"{path} is not an earlier export, and --force replaces nothing else: name another with -o")
    raise UsageError(f"{path} is there already: name another folder with -o, or replace it with --force")


@contextmanager
def target_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` whole or not at all. Raises UsageError, ExplorerError when it cannot.

    What an export to the same place that was killed a day ago left there goes.
    """
    remove_old_siblings(path)
    try:
        with new_folder(path, is_replacing=True) as draft:
            yield draft
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ExplorerError(
                f"the disk of {path.parent.resolve()} is full; nothing was left there. Free some space, or name "
                "another place with -o"
            ) from error
        raise UsageError(f"{path} cannot be written ({error.strerror}): name another place with -o") from error
