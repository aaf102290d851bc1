"""Names made from content: the hash of what made a thing is the thing's name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_KEY_LENGTH = 20  # 80 bits: no collision among any number of artifacts that a disk can hold


def content_key(made_of: Any) -> str:
    """A short hexadecimal name for JSON-ready values: equal values have equal names, whatever their order of keys."""
    text = json.dumps(made_of, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:_KEY_LENGTH]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
