"""A stranger's folder: its files are opened where they lie, and nothing is followed anywhere else."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType

from explorer.deploy.manifest import MODEL, FileFacts
from explorer.errors import UsageError, VerificationFailed

_MAX_ENTRIES = 1000
# Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class PlainFolder:
    """A folder with one folder in it, held open: renaming either meanwhile changes nothing.

    Raises UsageError when `path` is not a folder, VerificationFailed for a packed bundle. Names have a forward slash;
    every method raises VerificationFailed, with the name, for anything but a regular file that lies in this folder
    alone.
    """

    def __init__(self, path: Path) -> None:
        if not os.path.exists(path):
            raise UsageError(f"there is no bundle at {path}: expected the folder that `explore export` wrote")
        if path.suffix in (".zip", ".tar", ".gz", ".tgz") and not os.path.isdir(path):
            raise VerificationFailed(
                f"{path} is a packed bundle, and packed bundles are not unpacked here: unpack it into a new folder, "
                f"which may have at most {_MAX_ENTRIES:,} files and no links, and name that"
            )
        try:
            self._folders = {"": os.open(path, _FOLDER)}
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read as a bundle ({error.strerror}): expected the folder that `explore export` wrote"
            ) from error

    def __enter__(self) -> PlainFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._folders.values():
            os.close(descriptor)
        self._folders.clear()

    def names(self) -> list[str]:
        """Every file in it, sorted; none of them was opened."""
        outer = self._entries("")
        inner = [f"{MODEL}/{name}" for name in self._entries(MODEL)] if MODEL in outer else []
        return sorted([*(name for name in outer if name != MODEL), *inner])

    def size(self, name: str) -> int:
        """The file's size in bytes."""
        descriptor = self._open(name)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def read(self, name: str, max_bytes: int) -> bytes:
        """The file's content, which may have at most `max_bytes`."""
        with os.fdopen(self._open(name), "rb") as file:
            try:
                content = file.read(max_bytes + 1)
            except OSError as error:
                raise VerificationFailed(f"{name} cannot be read ({error.strerror})") from error
        if len(content) > max_bytes:
            raise VerificationFailed(f"{name} has more than the {max_bytes:,} bytes that it may have")
        return content

    def read_known(self, name: str, facts: FileFacts) -> bytes:
        """The content of a file of which size and SHA-256 are known."""
        content = self.read(name, facts.bytes)
        found = hashlib.sha256(content).hexdigest()
        if len(content) != facts.bytes or found != facts.sha256:
            raise VerificationFailed(
                f"{name} is not the file of the manifest: its SHA-256 is {found}, expected {facts.sha256}"
            )
        return content

    def _entries(self, folder: str) -> list[str]:
        names = []
        with os.scandir(self._folder(folder)) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > _MAX_ENTRIES:
                    raise VerificationFailed(f"{folder or 'the bundle'} has more than {_MAX_ENTRIES} files")
        return names

    def _folder(self, name: str) -> int:
        if name not in self._folders:
            try:
                self._folders[name] = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._folders[""])
            except OSError as error:
                raise VerificationFailed(f"{name} is not a folder of the bundle: it is a link or a file") from error
        return self._folders[name]

    def _open(self, name: str) -> int:
        folder, _, base = name.rpartition("/")
        try:
            descriptor = os.open(base, _FILE, dir_fd=self._folder(folder))
        except FileNotFoundError as error:
            raise VerificationFailed(f"{name} is missing") from error
        except OSError as error:
            raise VerificationFailed(f"{name} is a link, or cannot be opened ({error.strerror})") from error
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            return descriptor
        os.close(descriptor)
        if stat.S_ISREG(status.st_mode):
            raise VerificationFailed(f"{name} has a second name elsewhere (a hard link): copy the bundle and try again")
        raise VerificationFailed(f"{name} is not a regular file")
