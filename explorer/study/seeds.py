"""Seeds made from names: the same words give the same random numbers, on every machine."""

from __future__ import annotations

import hashlib

_SEED_BYTES = 4  # NumPy's legacy generators, which the samplers use, take 32 bits


def derived_seed(*words: str | int) -> int:
    """A 32-bit seed that is a function of `words` alone; other words give another, unrelated seed."""
    digest = hashlib.sha256("\x00".join(str(word) for word in words).encode("utf-8")).digest()
    return int.from_bytes(digest[:_SEED_BYTES], "big")
