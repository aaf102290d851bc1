"""The data sets by name; one line each, imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from explorer.data.source import DatasetPlugin
from explorer.errors import UsageError

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
