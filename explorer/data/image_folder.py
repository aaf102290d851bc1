"""The user's own images: `train/<class>/*` and `test/<class>/*`, a folder or a .tar of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from explorer.data.dataset import RawDataset, digests
from explorer.data.source import Source, expanded, not_found
from explorer.data.tree import first_image, is_tree, read_tree
from explorer.errors import DataNotAvailable, UsageError
from explorer.records import Progress
from explorer.space.values import DataSettings


def locate(settings: DataSettings, root: Path) -> Source:
    """Find the folder or .tar `settings.path` under `root`. Raises UsageError without a path, else DataNotAvailable."""
    if not settings.path:
        raise UsageError(
            "the data set image_folder needs data.path: a folder, or a .tar of one, with train/<class>/* and "
            "test/<class>/*, relative to the data folder"
        )
    location = root / expanded(Path(settings.path))
    if is_tree(location) or location.is_file():
        return Source("image_folder", "image folder", location)
    raise not_found(
        "image_folder",
        [location / "train", location / "test"] if location.is_dir() else [location],
        "Put a folder there, or a .tar of one, with the images in train/<class>/ and test/<class>/",
    )


def image_shape(source: Source) -> tuple[int, int, int] | None:
    """Return (channels, height, width) from the first image's header; None if it cannot be read."""
    from explorer.data.images import stated_size

    file = first_image(source.location)
    size = None if file is None else stated_size(file)
    return None if size is None else (3, *size)


def read(source: Source, on_progress: Callable[[Progress], None]) -> RawDataset:
    """Decode the images, all of one size, as RGB; the classes are the folders' names, sorted.

    Raises DataNotAvailable, naming the files, when an image of train/ is also in test/: training and calibration must
    not see test images.
    """
    from explorer.data.images import decode_tree

    tree = read_tree(source.location)
    dataset = decode_tree(tree, on_progress)
    in_test = dict(zip(digests(dataset.test_inputs), tree.test, strict=True))
    shared = [
        (file, in_test[digest])
        for file, digest in zip(tree.train, digests(dataset.train_inputs), strict=True)
        if digest in in_test
    ]
    if shared:
        raise DataNotAvailable(
            f"{len(shared)} training images are also test images, such as {shared[0][0]} and {shared[0][1]}: training "
            "and calibration must not see the test split, so remove them from one of the two"
        )
    return dataset
