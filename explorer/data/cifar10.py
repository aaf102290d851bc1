"""CIFAR-10: the official archive, a tree of its images, or a download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.data.source import Source, not_found
from explorer.data.tree import first_suffix, is_tree, read_tree

if TYPE_CHECKING:
    from explorer.data.dataset import RawDataset
    from explorer.records import Progress
    from explorer.space.values import DataSettings

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Copied from torchvision.datasets.CIFAR10, which only the builder may import.
_FOLDER = "cifar-10-batches-py"
_ARCHIVE = "cifar-10-python.tar.gz"
_SHAPE = (3, 32, 32)
_URL = f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"  # of the archive
_ANSWER_WITHIN_S = 5.0


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
        suffix = first_suffix(location) or ""
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

    from explorer.data.official import download_official

    return Source("cifar10", "official", download_official(CIFAR10, _SHA256, source.location.parent, on_progress))


def image_shape(source: Source) -> tuple[int, int, int]:
    """Return (channels, height, width)."""
    return _SHAPE


def read(source: Source, on_progress: Callable[[Progress], None]) -> RawDataset:
    """Decode every image: uint8 [n, 3, 32, 32], labels in CIFAR-10's order. Raises DataNotAvailable."""
    if source.kind == "official":
        from torchvision.datasets import CIFAR10

        from explorer.data.official import read_official

        return read_official(CIFAR10, source.location, on_progress)
    from explorer.data.images import decode_tree

    return decode_tree(read_tree(source.location, CLASS_NAMES), on_progress, size=_SHAPE[1:])


def _why_no_download(root: Path) -> str | None:
    if root.exists() and not root.is_dir():
        return f"{root} is a file, and no folder to put it into"
    if not root.is_dir() and not root.parent.is_dir():
        return f"there is no folder {root.parent} to put it into"
    # Deferred, since the import takes longer than finding local data.
    from explorer.data.download import why_unreachable

    return why_unreachable(_URL, _ANSWER_WITHIN_S)
