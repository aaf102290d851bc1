"""Sealed records: what the database keeps of a trial, with a checksum, under which keys."""

from __future__ import annotations

import json
import zlib
from typing import Any

from pydantic_core import from_json

from explorer.study.journal import Entry

FACTS_KEY = "explorer"
REFERENCE_KEY = "reference_point"
RECORD_KEY = "record"
INTERRUPTED_KEY = "interrupted"

_BEFORE_ENTRY, _AFTER_ENTRY = '{"entry": ', ', "crc32": '


def sealed(entry: Entry) -> dict[str, Any]:
    """An entry with a checksum, since SQLite notices damage to its structure only and not to the values in it.

    The checksum is that of the entry's JSON text as `json.dumps`, and so Optuna, writes it.
    """
    text = json.dumps(entry.to_json())
    return {"entry": json.loads(text), "crc32": _checksum(text)}


def unsealed(text: str) -> Entry:
    """The inverse of `sealed`, from the JSON text that a database has.

    Raises KeyError, TypeError or ValueError when it is not what was sealed.
    """
    values = from_json(text, allow_inf_nan=False)  # in a quarter of the time that json.loads takes
    entry, checksum = values["entry"], values["crc32"]
    # What was read is checked as it is, since writing it again would take longer than all the rest; kept studies have
    # the checksum of a text with sorted keys.
    written = text[len(_BEFORE_ENTRY) : text.rfind(_AFTER_ENTRY)]
    if checksum != _checksum(written) and checksum != _checksum(json.dumps(entry, sort_keys=True)):
        raise ValueError("a trial's record does not have its checksum")
    return Entry.from_json(entry)


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8"))
