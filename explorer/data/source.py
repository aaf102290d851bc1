"""Data sources: the registry of data sets, the protocol of their modules, and locating them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from explorer.errors import DataNotAvailable, UsageError
from explorer.system.plugins import Registry
from explorer.tasks.task import TASKS, Task, survey, task_named

if TYPE_CHECKING:
    from explorer.data.dataset import RawDataset
    from explorer.records import Progress
    from explorer.space.values import DataSettings


DATASETS = Registry(
    "datasets",
    {
        "cifar10": "explorer.data.cifar10",
        "image_folder": "explorer.data.image_folder",
        "digits": "explorer.data.digits",
        "cluttered_digits": "explorer.data.cluttered_digits",
    },
)


def dataset_names() -> tuple[str, ...]:
    """Return the registered data sets, and the tasks that have data of their own."""
    tasks, _ = survey()
    return (*DATASETS, *(name for name, task in tasks.items() if name not in DATASETS and task.data is not None))


def owner_of(name: str) -> Task | None:
    """Return the task whose own data are called `name`; None for a registered data set. Raises ExplorerError."""
    task = task_named(name) if name in TASKS and name not in DATASETS else None
    return None if task is None or task.data is None else task


def plugin(name: str) -> DatasetPlugin:
    """Return the data set `name`. Raises UsageError for an unknown name, ExplorerError for one that does not load."""
    if name in DATASETS:
        return cast(DatasetPlugin, DATASETS.load(name))
    owner = owner_of(name)
    if owner is None:
        raise UsageError(f"data.name must be one of {', '.join(dataset_names())}, not {name!r}")
    return cast(DatasetPlugin, owner.data)


def check_task(dataset: str, task: Task) -> None:
    """Raise UsageError, before anything is read, for images without a task of images, and for another task's own data.

    The data of a task are those of its subclasses too. `Task.check` tests the targets once they are read.
    """
    owner, why = owner_of(dataset), ""
    if owner is not None and not isinstance(task, type(owner)):
        why = f"it is of the task {owner.name}"
    elif dataset in DATASETS and hasattr(plugin(dataset), "image_shape") and not task.has_pixels:
        why = "its inputs are images, and those of the task are not"
    if why:
        raise UsageError(f"the data set {dataset} is not for the task {task.name}: {why}")


def input_shape(source: Source) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of the images of `source`; None if unknown before reading it."""
    shape_of = getattr(plugin(source.dataset), "image_shape", None)
    try:
        return None if shape_of is None else cast("tuple[int, int, int] | None", shape_of(source))
    except OSError:  # `prepare` reports what cannot be read
        return None


def locate(settings: DataSettings, root: Path | None) -> Source:
    """Find the data set under `root` (None: EXPLORER_DATA, else `data/`), or where it can be downloaded from.

    Reads no example. Only when nothing is found, the network is queried, for a few seconds at most. Raises
    DataNotAvailable, which lists every place that was searched and how to get the data; UsageError for wrong settings.
    """
    folder = data_root(root)
    try:
        return plugin(settings.name).locate(settings, folder)
    except OSError as error:
        raise DataNotAvailable(
            f"the data set {settings.name} cannot be looked for in {folder} ({error.strerror or error}): check the "
            "path and its permissions, or name another data folder with --data"
        ) from error


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that was found as a file or a folder, or that can be downloaded to there (`is_present` False).

    `kind` is "official", "JPEG tree" (or "PNG tree", ...), "image folder" or "scikit-learn". `drawn_by` is the version
    of the drawing for images that are drawn from the file; else "".
    """

    dataset: str
    kind: str
    location: Path
    is_present: bool = True
    drawn_by: str = ""


class DatasetPlugin(Protocol):
    """The functions of a data set, such as of its module. Importing it is cheap; `download` and `read` import more."""

    def locate(self, settings: DataSettings, root: Path) -> Source:
        """Find the data under `root` by path checks alone. Raises DataNotAvailable, or UsageError for settings."""

    def download(self, source: Source, on_progress: Callable[[Progress], None]) -> Source:
        """Download a source that is not present. Optional: only for modules whose `locate` returns such sources."""

    def image_shape(self, source: Source) -> tuple[int, int, int] | None:
        """Return (channels, height, width) of the images, reading at most one; None if unknown before `read`.

        Optional.
        """

    def read(self, source: Source, on_progress: Callable[[Progress], None]) -> RawDataset:
        """Read all inputs and targets. Raises DataNotAvailable, naming the file that cannot be used."""


def data_root(root: Path | None) -> Path:
    """Return the data folder as an absolute path: `root`, else EXPLORER_DATA, else `data/`. Raises UsageError."""
    return expanded(root or Path(os.environ.get("EXPLORER_DATA") or "data")).absolute()


def expanded(path: Path) -> Path:
    """Return `path` with a leading `~` or `~user` replaced. Raises UsageError for an unknown user."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path} begins in the home folder of an unknown user: write the whole path") from error


def not_found(dataset: str, looked_at: Sequence[Path], remedy: str, also: str = "") -> DataNotAvailable:
    """Return the error for missing data, in two sentences: what is missing and how to get it.

    `also` continues the first one, and `remedy` begins the second.
    """
    places = ", ".join(str(place) for place in looked_at)
    return DataNotAvailable(
        f"the data set {dataset} was not found (looked at: {places}){also}. {remedy}, or name another data folder with "
        "--data or EXPLORER_DATA; search_spaces/digits.yaml needs no data"
    )
