"""Checks of untrusted files, as bytes, before any runtime opens them. What is not known to be harmless is refused."""

from __future__ import annotations

from collections.abc import Sequence


class UnsafeFile(Exception):
    """A file that must not be loaded. The message follows the file's name: what the file holds."""


def holds(dims: Sequence[int], n_values: int) -> bool:
    """Return whether an array of that shape has at most `n_values` values, without computing larger products."""
    if any(dim < 0 for dim in dims):
        return False
    total = 0 if 0 in dims else 1
    for dim in dims:
        if total > n_values:
            break
        total *= dim
    return total <= n_values
