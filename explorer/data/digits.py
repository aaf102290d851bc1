"""scikit-learn's handwritten digits: 1797 images of 8×8 pixels that come with the library."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from explorer.data.dataset import RawDataset
from explorer.data.source import Source
from explorer.data.splits import stratified
from explorer.errors import DataNotAvailable
from explorer.records import Progress
from explorer.space.values import DataSettings

_SHAPE = (1, 8, 8)
_TEST_SHARE = 0.2
BRIGHTEST = 16  # ink of a pixel


def locate(settings: DataSettings, root: Path) -> Source:
    """Find the file inside the installed scikit-learn, which is not imported. Raises DataNotAvailable without it."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataNotAvailable("the data set digits comes with scikit-learn, which is not installed: install it")
    location = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not location.is_file():
        raise DataNotAvailable(f"the data set digits should be at {location}: install scikit-learn again")
    return Source("digits", "scikit-learn", location)


def image_shape(source: Source) -> tuple[int, int, int]:
    """Return (channels, height, width)."""
    return _SHAPE


def read(source: Source, on_progress: Callable[[Progress], None]) -> RawDataset:
    """Read images [n, 1, 8, 8] with 0-16 scaled to 0-255; a fixed, stratified fifth of them is the test split."""
    from sklearn.datasets import load_digits

    on_progress(Progress("read digits"))
    digits = load_digits()
    images = np.rint(digits.images * (255 / BRIGHTEST)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    test = stratified(labels, round(_TEST_SHARE * len(labels)))
    train = np.setdiff1d(np.arange(len(labels)), test)
    facts = {"classes": [str(name) for name in digits.target_names]}
    return RawDataset(images[train], labels[train], images[test], labels[test], facts)
