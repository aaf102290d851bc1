"""CIFAR-10: the official archive, read and verified by torchvision; a tree of its images; or a download."""

from __future__ import annotations

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
from explorer.data.download import fetch, reason, why_unreachable
from explorer.data.source import Source, not_found
from explorer.data.tree import first_image, is_tree, read_tree
from explorer.errors import DataNotAvailable
from explorer.records import Progress
from explorer.space.values import DataSettings
from explorer.system.files import new_folder
from explorer.system.hashing import file_sha256

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Copied from torchvision.datasets.CIFAR10, which only the builder may import.
_FOLDER = "cifar-10-batches-py"
_ARCHIVE = "cifar-10-python.tar.gz"
_SHAPE = (3, 32, 32)
_URL = f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"  # of the archive
_ANSWER_WITHIN_S = 5.0
_MAX_ATTEMPTS = 20


def locate(settings: DataSettings, root: Path) -> Source:
    """Find, in this order, the official folder or archive, a tree `cifar10*/`, a `cifar10*.tar`, else a download.

    Raises DataNotAvailable when nothing is found and the archive's server does not answer within seconds.
    """
    folder, archive = root / _FOLDER, root / _ARCHIVE
    if folder.is_dir():
        return Source("cifar10", "official", folder)
    if archive.is_file():
        return Source("cifar10", "official", archive)
    candidates = sorted(root.glob("cifar10*")) if root.is_dir() else []
    trees = [path for path in candidates if is_tree(path)]
    tars = [path for path in candidates if path.suffix == ".tar" and path.is_file()]
    for location in (*trees, *tars):
        first = first_image(location)
        suffix = Path(first.name).suffix.lower() if first else ""
        kind = "JPEG tree" if suffix in (".jpg", ".jpeg", "") else f"{suffix[1:].upper()} tree"
        return Source("cifar10", kind, location)
    cause = _why_no_download(root)
    if cause is None:
        return Source("cifar10", "official", folder, is_present=False)
    raise not_found(
        "cifar10",
        (folder, archive, root / "cifar10*" / "{train,test}", root / "cifar10*.tar"),
        f"Get the official archive of 163 MiB, for instance with `curl -LO {_URL}`, or a folder or .tar named cifar10* "
        f"with the images in train/<class>/ and test/<class>/, and put it into {root}",
        also=f" and cannot be downloaded either ({cause})",
    )


def download(source: Source, on_progress: Callable[[Progress], None]) -> Source:
    """Download, verify and unpack the official archive. Raises DataNotAvailable, and leaves no incomplete data."""
    from torchvision.datasets import CIFAR10

    return Source("cifar10", "official", download_official(CIFAR10, _SHA256, source.location.parent, on_progress))


def image_shape(source: Source) -> tuple[int, int, int]:
    """Return (channels, height, width)."""
    return _SHAPE


def read(source: Source, on_progress: Callable[[Progress], None]) -> RawDataset:
    """Decode every image: uint8 [n, 3, 32, 32], labels in CIFAR-10's order. Raises DataNotAvailable."""
    if source.kind == "official":
        from torchvision.datasets import CIFAR10

        return read_official(CIFAR10, source.location, on_progress)
    from explorer.data.images import decode_tree

    return decode_tree(read_tree(source.location, CLASS_NAMES), on_progress, size=_SHAPE[1:])


def _why_no_download(root: Path) -> str | None:
    if root.exists() and not root.is_dir():
        return f"{root} is a file, and no folder to put it into"
    if not root.is_dir() and not root.parent.is_dir():
        return f"there is no folder {root.parent} to put it into"
    return why_unreachable(_URL, _ANSWER_WITHIN_S)


def read_official(archive: type[CIFAR10], location: Path, on_progress: Callable[[Progress], None]) -> RawDataset:
    """Read the unpacked folder, or the packed file, at `location`.

    `archive` is torchvision's class, whose names, checksums and layout are expected. Raises DataNotAvailable when a
    checksum differs; nothing is unpickled before its checksum is verified.
    """
    on_progress(Progress("verify and read the official archive"))
    if location.is_dir():
        return _read_folder(archive, location)
    with writing_cache():
        data_cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack.", suffix=".tmp", dir=data_cache()) as folder:
        _unpack(archive, location, Path(folder))
        return _read_folder(archive, Path(folder) / archive.base_folder)


def download_official(archive: type[CIFAR10], sha256: str, root: Path, on_progress: Callable[[Progress], None]) -> Path:
    """Download, verify (`sha256`) and unpack the archive; return the complete folder below `root`.

    A failed transfer is resumed as long as that brings more bytes. Raises DataNotAvailable when it does not, or `root`
    cannot be written; then, and after an interruption, `root` is unchanged, and the part received stays in the cache,
    from where the next call resumes.
    """
    target: Path = root / archive.base_folder
    part = data_cache() / "downloads" / sha256[:20] / archive.filename
    with locked(f"download-{sha256[:20]}", on_progress), _made(root):
        if target.is_dir():
            return target
        drafts = f".{target.name}."
        for left_over in root.glob(f"{drafts}*.tmp"):
            shutil.rmtree(left_over)
        with tempfile.TemporaryDirectory(prefix=drafts, suffix=".tmp", dir=root) as work:
            with writing_cache():
                part.parent.mkdir(parents=True, exist_ok=True)
            _transfer(archive, sha256, part, root, on_progress)
            on_progress(Progress("unpack the official archive"))
            _unpack(archive, part, Path(work))
            _read_folder(archive, Path(work) / archive.base_folder)
            with new_folder(target) as draft:
                for file in (Path(work) / archive.base_folder).iterdir():
                    file.rename(draft / file.name)
            shutil.rmtree(part.parent)
    return target


@contextmanager
def _made(root: Path) -> Iterator[None]:
    """Create `root` for the block, and remove it if it is new and still empty at the end. Raises DataNotAvailable."""
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


def _transfer(
    archive: type[CIFAR10], sha256: str, file: Path, root: Path, on_progress: Callable[[Progress], None]
) -> None:
    """Fetch the archive to `file`, resuming after failed attempts. Raises DataNotAvailable, naming `root`."""
    most = 0
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            if not file.exists() or file_sha256(file) != sha256:
                fetch(archive.url, file, on_progress)
            if file_sha256(file) == sha256:
                return
            file.unlink()
            cause = "the checksum is wrong"
        except (OSError, HTTPException) as error:
            cause = reason(error)
        on_progress(Progress("download", note=f"attempt {attempt} failed: {cause}"))
        size = file.stat().st_size if file.exists() else 0
        if attempt > 1 and size <= most:
            break
        most = max(most, size)
    raise DataNotAvailable(
        f"CIFAR-10 could not be downloaded from {archive.url} ({cause}). Start again later, which goes on from there, "
        f"or put {archive.filename} into {root} yourself; search_spaces/digits.yaml needs no data"
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
            # The archive's pickles are of 2009, in a format of which NumPy 2.4.0 to 2.4.4 warn.
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            train, test = (archive(str(folder.parent), train=is_train) for is_train in (True, False))
    except RuntimeError as error:
        raise DataNotAvailable(
            f"{folder} is not the official CIFAR-10, because files are missing or damaged: remove that folder, or "
            "unpack the archive again"
        ) from error
    return RawDataset(*_arrays(train), *_arrays(test), {"classes": list(train.classes)})


def _arrays(part: CIFAR10) -> tuple[Images, Labels]:
    images = np.ascontiguousarray(np.asarray(part.data, dtype=np.uint8).transpose(0, 3, 1, 2))
    return images, np.array(part.targets, dtype=np.int64)
