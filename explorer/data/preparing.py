"""From a source to a data set in the cache: found, downloaded if need be, decoded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from explorer.data.cache import Content, Entry, kept
from explorer.data.dataset import Dataset, channel_statistics
from explorer.data.fingerprint import fingerprint, signature
from explorer.data.registry import located, plugin
from explorer.data.source import DatasetPlugin, Source
from explorer.errors import DataNotAvailable
from explorer.records import Progress

if TYPE_CHECKING:
    from explorer.space.values import DataSettings


def prepare(settings: DataSettings, root: Path, on_progress: Callable[[Progress], None]) -> Dataset:
    """See `explorer.data.prepare`; `root` is the data folder itself."""
    module = plugin(settings.name)
    source = located(settings, root)
    if not source.is_present:
        source = module.download(source, on_progress)
    try:
        content = fingerprint(source.location)
    except OSError as error:
        raise DataNotAvailable(
            f"the data at {source.location} cannot be read ({error}): check its permissions"
        ) from error
    entry = kept(f"{source.dataset}-{content[:16]}", lambda: _decoded(module, source, on_progress), on_progress)
    return _dataset(source, content, entry)


def _decoded(module: DatasetPlugin, source: Source, on_progress: Callable[[Progress], None]) -> Content:
    before = signature(source.location)
    raw = module.read(source, on_progress)
    if signature(source.location) != before:
        raise DataNotAvailable(f"the data at {source.location} changed while they were read: start again")
    on_progress(Progress("write decoded images"))
    mean, std = channel_statistics(raw.train_images)
    arrays: dict[str, NDArray[Any]] = {
        "train_images": raw.train_images,
        "train_labels": raw.train_labels,
        "test_images": raw.test_images,
        "test_labels": raw.test_labels,
    }
    return arrays, {"class_names": list(raw.class_names), "mean": mean, "std": std}


def _dataset(source: Source, content: str, entry: Entry) -> Dataset:
    train_images = entry.array("train_images")
    channels, height, width = train_images.shape[1:]
    return Dataset(
        name=source.dataset,
        kind=source.kind,
        fingerprint=content,
        class_names=tuple(entry.facts["class_names"]),
        image_shape=(channels, height, width),
        mean=tuple(entry.facts["mean"]),
        std=tuple(entry.facts["std"]),
        folder=entry.folder,
        train_images=train_images,
        train_labels=entry.array("train_labels"),
        test_images=entry.array("test_images"),
        test_labels=entry.array("test_labels"),
    )
