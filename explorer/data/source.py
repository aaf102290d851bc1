"""Where a data set lies, and the shape of the modules that know it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from explorer.errors import DataNotAvailable, UsageError

if TYPE_CHECKING:
    from explorer.data.dataset import RawDataset
    from explorer.records import Progress
    from explorer.space.values import DataSettings


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that was found as a file or a folder, or that can be downloaded to there (`is_present` False).

    `kind` is "official", "JPEG tree" (or "PNG tree", ...), "image folder" or "scikit-learn".
    """

    dataset: str
    kind: str
    location: Path
    is_present: bool = True


class DatasetPlugin(Protocol):
    """What a data set's module offers. Importing it is cheap; `download` and `read` import what they need."""

    def locate(self, settings: DataSettings, root: Path) -> Source:
        """Find the data under `root` by path checks alone. Raises DataNotAvailable, or UsageError for settings."""

    def download(self, source: Source, on_progress: Callable[[Progress], None]) -> Source:
        """Get a source that `locate` said is not present. Modules that never say so need not have it."""

    def read(self, source: Source, on_progress: Callable[[Progress], None]) -> RawDataset:
        """Decode every image. Raises DataNotAvailable, naming the file that cannot be used."""


def data_root(root: Path | None) -> Path:
    """The data folder as an absolute path: `root` if given, else EXPLORER_DATA, else `data/`. Raises UsageError."""
    return expanded(root or Path(os.environ.get("EXPLORER_DATA") or "data")).absolute()


def expanded(path: Path) -> Path:
    """`path` with the home folder in the place of a leading `~` or `~user`. Raises UsageError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path} begins in the home folder of an unknown user: write the whole path") from error


def not_found(dataset: str, looked_at: Sequence[Path], remedy: str) -> DataNotAvailable:
    """The error for data that are at none of the places, with the `remedy` that this data set has."""
    places = ", ".join(str(place) for place in looked_at)
    return DataNotAvailable(
        f"the data set {dataset} was not found; looked at: {places}. {remedy} Another data folder is named with "
        "--data or EXPLORER_DATA. The search space search_spaces/digits.yaml needs no data."
    )
