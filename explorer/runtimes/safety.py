"""Safety: what a stranger's segment file may hold, so that loading it reads no other file and runs no code of its own.

Looked at as bytes, before any runtime sees it. What is not known to be harmless is refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence

_CHECKS: Mapping[str, tuple[str, str]] = {
    "eager": (".pt2", "explorer.runtimes.pt2_safety:check_program"),
    "onnxruntime": (".onnx", "explorer.runtimes.onnx_safety:check_onnx"),
}


class UnsafeFile(Exception):
    """A file that must not be loaded. The message says what it holds, to be read after the file's name."""


def segment_suffix(runtime: str) -> str:
    """The suffix of that runtime's segment files. Raises KeyError for a runtime whose files cannot be checked."""
    return _CHECKS[runtime][0]


def check_segment(runtime: str, content: bytes) -> None:
    """Raises UnsafeFile unless `runtime` can load a file of this content safely, KeyError as `segment_suffix` does."""
    module, _, name = _CHECKS[runtime][1].partition(":")
    check: Callable[[bytes], None] = getattr(importlib.import_module(module), name)
    check(content)


def holds(dims: Sequence[int], n_values: int) -> bool:
    """Whether an array of that shape has at most `n_values` values; as soon as it has more, nothing is multiplied."""
    if any(dim < 0 for dim in dims):
        return False
    total = 0 if 0 in dims else 1
    for dim in dims:
        if total > n_values:
            break
        total *= dim
    return total <= n_values
