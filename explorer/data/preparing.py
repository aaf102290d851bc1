"""Prepare a data set: find it, download it if needed, decode it once into the cache, identify it by its content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from explorer.data.cache import Content, cached_entry, data_cache, writing_cache
from explorer.data.dataset import Dataset, channel_statistics
from explorer.data.source import DatasetPlugin, Source, locate, plugin
from explorer.errors import DataNotAvailable
from explorer.records import Progress
from explorer.space.values import DataSettings
from explorer.system.files import write_json
from explorer.system.hashing import file_sha256

_MAX_DEPTH = 3  # a data folder is <split>/<class>/<image>; deeper files are never read


def signature(location: Path) -> str:
    """Return a SHA-256 of names, sizes and modification times: it changes with the content, which is not read."""
    found = ((name, path.stat()) for name, path in _files(location))
    return _digest(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n" for name, status in found)


def fingerprint(location: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's relative paths and contents (hidden files excepted).

    It is stored in the cache with the `signature`, so that the second call reads no content. Raises OSError.
    """
    memo = data_cache() / "fingerprints" / f"{hashlib.sha256(os.fsencode(location)).hexdigest()[:32]}.json"
    now = signature(location)
    try:
        remembered = json.loads(memo.read_bytes())
        if remembered["signature"] == now:
            return str(remembered["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # there is none, or it is not valid
    if location.is_file():
        content = file_sha256(location)
    else:
        content = _digest(f"{name}\0{file_sha256(path)}\n" for name, path in _files(location))
    with writing_cache():
        write_json(memo, {"location": str(location), "signature": now, "fingerprint": content})
    return content


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(location: Path, prefix: str = "", depth: int = _MAX_DEPTH) -> Iterator[tuple[str, Path]]:
    """Yield relative name and path of every file that is not hidden, in order of names; ("", file) for a file."""
    if location.is_file():
        yield "", location
        return
    with os.scandir(location) as entries:
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in visible:
        if entry.is_file():
            yield prefix + entry.name, Path(entry.path)
        elif entry.is_dir() and depth > 1:
            yield from _files(Path(entry.path), f"{prefix}{entry.name}/", depth - 1)


def prepare(settings: DataSettings, root: Path | None, on_progress: Callable[[Progress], None]) -> Dataset:
    """Return the data set, memory-mapped from the cache; download and decode it the first time.

    `root` is the data folder, as in `locate`. Raises as `locate` does, and DataNotAvailable, naming the file, for an
    file that cannot be used.
    """
    module = plugin(settings.name)
    source = locate(settings, root)
    if not source.is_present:
        source = module.download(source, on_progress)
    try:
        content = fingerprint(source.location)
    except OSError as error:
        raise DataNotAvailable(
            f"the data at {source.location} cannot be read ({error}): check its permissions"
        ) from error
    if source.drawn_by:
        content = hashlib.sha256(f"{content} {source.drawn_by}".encode()).hexdigest()
    entry = cached_entry(f"{source.dataset}-{content[:16]}", lambda: _decoded(module, source, on_progress), on_progress)
    return Dataset(
        name=source.dataset,
        kind=source.kind,
        fingerprint=content,
        facts=entry.facts["task"],
        mean=tuple(entry.facts["mean"]),
        std=tuple(entry.facts["std"]),
        folder=entry.folder,
        **entry.arrays(),
    )


def _decoded(module: DatasetPlugin, source: Source, on_progress: Callable[[Progress], None]) -> Content:
    before = signature(source.location)
    raw = module.read(source, on_progress)
    if signature(source.location) != before:
        raise DataNotAvailable(f"the data at {source.location} changed while they were read: start again")
    on_progress(Progress("write decoded data"))
    mean, std = channel_statistics(raw.train_inputs)
    held = {field.name: getattr(raw, field.name) for field in fields(raw)}
    arrays = {name: value for name, value in held.items() if name != "facts" and value is not None}
    return arrays, {"task": dict(raw.facts), "mean": mean, "std": std}
