"""CIFAR-10's official archive through torchvision, which verifies and reads it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.data.cache import data_cache, locked, writing_cache
from explorer.data.dataset import Images, Labels, RawDataset
from explorer.data.download import fetch, reason
from explorer.errors import DataNotAvailable
from explorer.files import new_folder
from explorer.records import Progress

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

_ATTEMPTS = 2


def read_official(archive: type[CIFAR10], location: Path, on_progress: Callable[[Progress], None]) -> RawDataset:
    """Read the unpacked folder, or the packed file, at `location`.

    `archive` is torchvision's class: its names, checksums and layout are what is expected. Raises DataNotAvailable
    when a checksum differs; nothing is unpickled before it was compared.
    """
    on_progress(Progress("verify and read the official archive"))
    if location.is_dir():
        return _read_folder(archive, location)
    with writing_cache():
        data_cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack.", suffix=".tmp", dir=data_cache()) as folder:
        _unpack(archive, location, Path(folder))
        return _read_folder(archive, Path(folder) / archive.base_folder)


def download_official(archive: type[CIFAR10], root: Path, on_progress: Callable[[Progress], None]) -> Path:
    """Download, verify and unpack the archive; returns the folder below `root`, which is then whole.

    A failed transfer is continued once. Raises DataNotAvailable when that fails too, or `root` cannot be written;
    in that case, and when it is interrupted, `root` is as it was.
    """
    target: Path = root / archive.base_folder
    lock = f"download-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}"
    with locked(lock, on_progress), _made(root):
        if target.is_dir():
            return target
        drafts = f".{target.name}."
        for left_over in root.glob(f"{drafts}*.tmp"):
            shutil.rmtree(left_over)
        with tempfile.TemporaryDirectory(prefix=drafts, suffix=".tmp", dir=root) as work:
            _transfer(archive, Path(work) / archive.filename, on_progress)
            on_progress(Progress("unpack the official archive"))
            _unpack(archive, Path(work) / archive.filename, Path(work))
            _read_folder(archive, Path(work) / archive.base_folder)
            with new_folder(target) as draft:
                for file in (Path(work) / archive.base_folder).iterdir():
                    file.rename(draft / file.name)
    return target


@contextmanager
def _made(root: Path) -> Iterator[None]:
    """Make `root` for the block, and take it away again when the block failed and left it empty."""
    was_there = root.is_dir()
    try:
        root.mkdir(exist_ok=True)
        yield
    except OSError as error:
        raise DataNotAvailable(
            f"CIFAR-10 cannot be stored in {root} ({error.strerror or error}): name another data folder with --data"
        ) from error
    finally:
        if not was_there and root.is_dir() and not any(root.iterdir()):
            root.rmdir()


def _transfer(archive: type[CIFAR10], file: Path, on_progress: Callable[[Progress], None]) -> None:
    """Fetch the archive to `file`; a second attempt goes on from where the first one ended."""
    from torchvision.datasets.utils import check_integrity

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            fetch(archive.url, file, on_progress)
        except (OSError, HTTPException) as error:
            cause = reason(error)
        else:
            if check_integrity(str(file), archive.tgz_md5):
                return
            cause = "the checksum is wrong"
            file.unlink()
        on_progress(Progress("download", note=f"attempt {attempt} of {_ATTEMPTS} failed: {cause}"))
    raise DataNotAvailable(
        f"CIFAR-10 could not be downloaded from {archive.url} ({cause}): start again later, or put "
        f"{archive.filename} into {file.parent.parent} yourself; search_spaces/digits.yaml needs no data"
    )


def _unpack(archive: type[CIFAR10], file: Path, folder: Path) -> None:
    from torchvision.datasets.utils import check_integrity, extract_archive

    if not check_integrity(str(file), archive.tgz_md5):
        raise DataNotAvailable(
            f"{file} is not the official archive: its MD5 should be {archive.tgz_md5}. Remove it, or get it again"
        )
    try:
        extract_archive(str(file), str(folder))
    except (OSError, tarfile.TarError) as error:
        raise DataNotAvailable(
            f"{file} cannot be unpacked in {folder} ({error}): make room, or get it again"
        ) from error


def _read_folder(archive: type[CIFAR10], folder: Path) -> RawDataset:
    if folder.name != archive.base_folder:
        raise ValueError(f"the official archive's folder is {archive.base_folder}, not {folder.name}")
    try:
        with warnings.catch_warnings():
            # The archive's pickles were written by a NumPy of 2009, in a way that NumPy 2.4.0 to 2.4.4 warn of.
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            train, test = (archive(str(folder.parent), train=is_train) for is_train in (True, False))
    except RuntimeError as error:
        raise DataNotAvailable(
            f"{folder} is not the official CIFAR-10 ({error}): remove that folder, or unpack the archive again"
        ) from error
    return RawDataset(tuple(train.classes), *_arrays(train), *_arrays(test))


def _arrays(part: CIFAR10) -> tuple[Images, Labels]:
    images = np.ascontiguousarray(np.asarray(part.data, dtype=np.uint8).transpose(0, 3, 1, 2))
    return images, np.array(part.targets, dtype=np.int64)
