"""The seal of manifest.json: the SHA-256 of its own bytes, with zeros in the seal's place.

It finds damage, in every byte. Whoever changes the manifest on purpose can seal it again: against that only a signature
would help.
"""

from __future__ import annotations

import hashlib
import re

_OPEN = "0" * 64
_SEAL = re.compile(rb'"seal": ?"([0-9a-f]{64})"')


def sealed(text: str) -> str:
    """The JSON of a manifest whose seal is still 64 zeros, with its seal."""
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return text.replace(f'"seal": "{_OPEN}"', f'"seal": "{digest}"', 1)


def is_sealed(content: bytes) -> bool:
    """Whether these bytes are those that were sealed."""
    found = _SEAL.search(content)
    if found is None:
        return False
    blank = content[: found.start(1)] + _OPEN.encode() + content[found.end(1) :]
    return hashlib.sha256(blank).hexdigest().encode() == found[1]
