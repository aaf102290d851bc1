"""The data sets by name; one line each, imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from explorer.data.source import DatasetPlugin, Source
from explorer.errors import DataNotAvailable, UsageError

if TYPE_CHECKING:
    from explorer.space.values import DataSettings

DATASETS: Mapping[str, str] = {
    "cifar10": "explorer.data.cifar10",
    "image_folder": "explorer.data.image_folder",
    "digits": "explorer.data.digits",
}


def plugin(name: str) -> DatasetPlugin:
    """The module that locates and reads the data set `name`. Raises UsageError for a name that is not registered."""
    if name not in DATASETS:
        raise UsageError(f"data.name must be one of {', '.join(DATASETS)}, not {name!r}")
    return cast(DatasetPlugin, import_module(DATASETS[name]))


def located(settings: DataSettings, root: Path) -> Source:
    """Where the data set lies under `root`. Raises as its module's `locate`, and DataNotAvailable for a bad path."""
    try:
        return plugin(settings.name).locate(settings, root)
    except OSError as error:
        raise DataNotAvailable(
            f"the data set {settings.name} cannot be looked for in {root} ({error.strerror or error}): check the path "
            "and its permissions, or name another data folder with --data"
        ) from error
