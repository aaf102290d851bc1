"""What is classified: CIFAR-10, image folders, digits; fixed splits; fingerprints.

    locate    where a data set lies, or that it can be downloaded: path checks only
    prepare   decode it once into the memory-mapped cache
    split     training, validation and calibration images, fixed and stratified

The modules behind `prepare` and `split` are imported when they are called, so that asking for names stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from explorer.data.registry import DATASETS, located
from explorer.data.source import Source, data_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from explorer.data.dataset import Dataset as Dataset
    from explorer.data.splits import Splits as Splits
    from explorer.records import Progress
    from explorer.space.values import DataSettings

__all__ = ["DATASETS", "Source", "data_root", "locate", "prepare", "split"]


def locate(settings: DataSettings, root: Path | None) -> Source:
    """Where the data set lies under `root` (None: EXPLORER_DATA, else `data/`), or to where it can be downloaded.

    Reads no image. Only when nothing is there does it ask the network, for a few seconds at most. Raises
    DataNotAvailable with every place that was looked at and how to get the data; UsageError for wrong settings.
    """
    return located(settings, data_root(root))


def prepare(settings: DataSettings, root: Path | None, on_progress: Callable[[Progress], None]) -> Dataset:
    """The decoded data set, memory-mapped from the cache; decoded, and downloaded if need be, the first time.

    Raises as `locate` does, and DataNotAvailable, naming the file, for an image or archive that cannot be used.
    """
    from explorer.data.preparing import prepare as prepare_now

    return prepare_now(settings, data_root(root), on_progress)


def split(dataset: Dataset, settings: DataSettings) -> Splits:
    """The fixed splits of `dataset`. Raises UsageError when it has too few images for `settings`."""
    from explorer.data.splits import split as split_now

    return split_now(dataset, settings)
