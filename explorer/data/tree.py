"""Image trees: `train/<class>/*` and `test/<class>/*`, in a folder or in a .tar that is never unpacked."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from explorer.errors import DataNotAvailable

SPLITS = ("train", "test")

_MAX_IMAGE_BYTES = 2**28  # the largest image that is decoded takes 192 MiB as plain pixels
_MAX_NAME = 255
# Raised by tarfile for damaged and for malicious archives.
_DAMAGE = (tarfile.TarError, OSError, ValueError, IndexError, KeyError, OverflowError, MemoryError, RecursionError)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image: a file (`size` -1), or `size` bytes at `offset` of the .tar `container`."""

    split: str
    class_name: str
    name: str
    container: Path
    offset: int = 0
    size: int = -1

    def __str__(self) -> str:
        where = f"{self.split}/{self.class_name}/{self.name}"
        return str(self.container) if self.size < 0 else f"{where} in {self.container}"

    def content(self) -> bytes:
        """Return the stored bytes. Raises OSError, also for a file that is too large to be an image."""
        with self.container.open("rb") as file:
            size = os.fstat(file.fileno()).st_size if self.size < 0 else self.size
            if size > _MAX_IMAGE_BYTES:
                raise OSError(f"it has {size:,} bytes, at most {_MAX_IMAGE_BYTES:,} are read")
            file.seek(self.offset)
            return file.read(size)

    def sort_key(self) -> bytes:
        """Return a hash of the names, which orders a split so that its classes are mixed."""
        name = f"{self.split}/{self.class_name}/{self.name}".encode(errors="surrogateescape")
        return hashlib.blake2b(name, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Tree:
    """The images of a valid tree: every class has images in both splits.

    Each split is in an order that depends on the names alone and mixes the classes: every prefix is a fair sample.
    """

    class_names: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]


def is_tree(folder: Path) -> bool:
    """Return whether `folder` has the folders of both splits."""
    return all((folder / split).is_dir() for split in SPLITS)


def first_image(location: Path) -> ImageFile | None:
    """Return one image of the tree, or None. Raises DataNotAvailable for a broken .tar."""
    with closing(_walk(location)) as walk:
        return next((found for found in walk if isinstance(found, ImageFile)), None)


def read_tree(location: Path, class_names: Sequence[str] | None = None) -> Tree:
    """List the tree at `location`; its classes must be `class_names` where these are given, and take their order.

    Raises DataNotAvailable when a split, a class or its images are missing, or there are fewer than two classes.
    """
    # By name, so that the last of several members with one name counts, as in tar itself.
    files: dict[tuple[str, str, str], ImageFile] = {}
    folders: dict[str, set[str]] = {split: set() for split in SPLITS}
    for found in _walk(location):
        if isinstance(found, ImageFile):
            files[found.split, found.class_name, found.name] = found
            folders[found.split].add(found.class_name)
        else:
            folders[found[0]].add(found[1])
    names = _checked_classes(location, folders, class_names)
    populated = {(file.split, file.class_name) for file in files.values()}
    for split in SPLITS:
        for name in names:
            if (split, name) not in populated:
                raise DataNotAvailable(f"the class {name!r} has no images in {split}/{name} of {location}: add some")
    ordered = sorted(files.values(), key=ImageFile.sort_key)
    train, test = (tuple(file for file in ordered if file.split == split) for split in SPLITS)
    return Tree(names, train, test)


def _checked_classes(location: Path, folders: dict[str, set[str]], expected: Sequence[str] | None) -> tuple[str, ...]:
    for split in SPLITS:
        if not folders[split]:
            raise DataNotAvailable(
                f"expected train/<class>/* and test/<class>/* in {location}, but {split}/ is missing or has no classes"
                ": add the images, or remove it"
            )
    for name in sorted(folders["train"] | folders["test"]):
        if not name.isprintable() or len(name) > _MAX_NAME:
            raise DataNotAvailable(
                f"the class {name[:_MAX_NAME]!r} of {location} has a name with characters that do not print, or of "
                f"more than {_MAX_NAME}: give its folders another"
            )
    if folders["train"] != folders["test"]:
        only = sorted(folders["train"] ^ folders["test"])[0]
        has, lacks = ("train", "test") if only in folders["train"] else ("test", "train")
        raise DataNotAvailable(
            f"the class {only!r} of {location} is in {has}/ but not in {lacks}/: both need images of every class"
        )
    if expected is not None and folders["train"] != set(expected):
        raise DataNotAvailable(
            f"expected the classes {', '.join(expected)} in {location}, found {', '.join(sorted(folders['train']))}: "
            "name the folders so, or use the data set image_folder"
        )
    if len(folders["train"]) < 2:
        raise DataNotAvailable(f"expected at least two classes in {location}, found {', '.join(folders['train'])} only")
    return tuple(expected) if expected is not None else tuple(sorted(folders["train"]))


def _walk(location: Path) -> Generator[ImageFile | tuple[str, str], None, None]:
    """Yield every image, and every class folder as (split, class). Hidden files are skipped."""
    return _walk_folder(location) if location.is_dir() else _walk_tar(location)


def _walk_folder(location: Path) -> Generator[ImageFile | tuple[str, str], None, None]:
    for split in SPLITS:
        if not (location / split).is_dir():
            continue
        for class_name in sorted(name for name in os.listdir(location / split) if not name.startswith(".")):
            folder = location / split / class_name
            if not folder.is_dir():
                continue
            yield split, class_name
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        raise _too_deep(entry.path)
                    if not entry.is_file():  # reading a pipe or a device might never end
                        raise DataNotAvailable(f"{entry.path} is a pipe, a device or a dead link: remove it")
                    yield ImageFile(split, class_name, entry.name, Path(entry.path))


def _walk_tar(location: Path) -> Generator[ImageFile | tuple[str, str], None, None]:
    tops: set[str] = set()
    try:
        with tarfile.open(location, "r:") as tar:
            for member in tar:
                parts = _safe_parts(member)
                if len(parts) > 1 and parts[0] not in SPLITS and parts[1] in SPLITS:
                    tops.add(parts[0])
                    parts = parts[1:]
                else:
                    tops.add("")
                if not parts or parts[0] not in SPLITS:
                    continue
                yield from _placed(member, parts, location)
            _check_end(tar, location)
    except PermissionError as error:
        raise DataNotAvailable(f"{location} cannot be read ({error.strerror}): check its permissions") from error
    except _DAMAGE as error:
        why = str(error) or type(error).__name__
        raise DataNotAvailable(f"{location} is not a whole, uncompressed .tar ({why}): copy it again") from error


def _placed(member: tarfile.TarInfo, parts: tuple[str, ...], location: Path) -> Iterator[ImageFile | tuple[str, str]]:
    if member.isdir():
        if len(parts) == 2:
            yield parts[0], parts[1]
    elif len(parts) > 3:
        raise _too_deep(f"{member.name} in {location}")
    elif len(parts) == 3:
        yield ImageFile(parts[0], parts[1], parts[2], location, member.offset_data, member.size)


def _safe_parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    """Return the member's path in parts; empty for links, devices, absolute and hidden names."""
    path = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()) or path.is_absolute() or any(part[0] == "." for part in path.parts):
        return ()
    return path.parts


def _check_end(tar: tarfile.TarFile, location: Path) -> None:
    """Raise ReadError unless the archive ends in zeros: tarfile takes a broken header for the end."""
    with location.open("rb") as file:
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"a damaged header at byte {tar.offset}")


def _too_deep(name: str) -> DataNotAvailable:
    return DataNotAvailable(f"expected images in train/<class>/ and test/<class>/, found deeper folders at {name}")
