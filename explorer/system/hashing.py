"""Names and seeds by hashing: SHA-256 of values and files, the cache folder that they name, derived seeds."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import platformdirs

_KEY_LENGTH = 20  # 80 bits: no collision among any number of artifacts that a disk can hold
_SEED_BYTES = 4  # NumPy's legacy generators, which the samplers use, take 32 bits


def cache_root() -> Path:
    """Return EXPLORER_CACHE if set, else the user's cache folder of the program. It need not exist."""
    named = os.environ.get("EXPLORER_CACHE")
    return Path(named).expanduser().absolute() if named else platformdirs.user_cache_path("pareto-explorer")


def content_key(made_of: Any) -> str:
    """Return 20 hexadecimal digits of the SHA-256 of JSON-ready values, independent of the order of keys.

    Raises ValueError for NaN and infinities, TypeError for values that JSON lacks.
    """
    text = json.dumps(made_of, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:_KEY_LENGTH]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def derived_seed(*words: str | int) -> int:
    """Return a 32-bit seed from the SHA-256 of `words`."""
    digest = hashlib.sha256("\x00".join(str(word) for word in words).encode("utf-8")).digest()
    return int.from_bytes(digest[:_SEED_BYTES], "big")
