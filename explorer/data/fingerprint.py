"""The content of a file or folder as one number, remembered until a name, size or time of change differs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explorer.data.cache import data_cache, writing_cache
from explorer.files import write_json
from explorer.hashing import file_sha256

# A data folder is <split>/<class>/<image>: what lies deeper is never read.
_MAX_DEPTH = 3


def signature(location: Path) -> str:
    """What changes when the content does, without reading it: names, sizes and times of change, as a SHA-256."""
    lines = hashlib.sha256()
    for name, path in _files(location):
        status = path.stat()
        lines.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return lines.hexdigest()


def fingerprint(location: Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's relative paths and contents (hidden files apart), in hexadecimal.

    Remembered in the cache together with the `signature`, so that the second call reads no content.
    """
    memo = data_cache() / "fingerprints" / f"{hashlib.sha256(os.fsencode(location)).hexdigest()[:32]}.json"
    now = signature(location)
    remembered = _read(memo)
    if remembered.get("signature") == now and isinstance(remembered.get("fingerprint"), str):
        return str(remembered["fingerprint"])
    content = file_sha256(location) if location.is_file() else _folder_sha256(location)
    with writing_cache():
        write_json(memo, {"location": str(location), "signature": now, "fingerprint": content})
    return content


def _folder_sha256(folder: Path) -> str:
    lines = hashlib.sha256()
    for name, path in _files(folder):
        lines.update(f"{name}\0{file_sha256(path)}\n".encode(errors="surrogateescape"))
    return lines.hexdigest()


def _files(location: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and path of every file that is not hidden, in order of names; a file is itself."""
    if location.is_file():
        yield "", location
        return
    yield from _files_below(location, "", _MAX_DEPTH)


def _files_below(folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in visible:
        if entry.is_file():
            yield prefix + entry.name, Path(entry.path)
        elif entry.is_dir() and depth > 1:
            yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/", depth - 1)


def _read(memo: Path) -> dict[str, Any]:
    """What was remembered; nothing when there is no memo, or it does not read."""
    try:
        value = json.loads(memo.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
