"""Sealed records: what the database keeps of a trial, with a checksum, under which keys."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from explorer.study.journal import Entry

FACTS_KEY = "explorer"
REFERENCE_KEY = "reference_point"
RECORD_KEY = "record"
INTERRUPTED_KEY = "interrupted"


def sealed(entry: Entry) -> dict[str, Any]:
    """An entry with a checksum, since SQLite notices damage to its structure only and not to the values in it."""
    values = json.loads(json.dumps(entry.to_json()))  # as it will be read: keys that are numbers become strings
    return {"entry": values, "crc32": _checksum(values)}


def unsealed(values: Mapping[str, Any]) -> Entry:
    """The inverse of `sealed`. Raises KeyError, TypeError or ValueError when the values are not what was sealed."""
    if _checksum(values["entry"]) != values["crc32"]:
        raise ValueError("a trial's record does not have its checksum")
    return Entry.from_json(values["entry"])


def _checksum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode("utf-8"))
