"""Safety: what a stranger's segment file may hold, so that loading it reads no other file and runs no code of its own.

Looked at as bytes, before any runtime sees it. What is not known to be harmless is refused.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_CHECKS: Mapping[str, tuple[str, str]] = {
    "eager": (".pt2", "explorer.runtimes.pt2_safety:check_program"),
    "onnxruntime": (".onnx", "explorer.runtimes.onnx_safety:check_onnx"),
}
_NAME = re.compile(r"\w[\w.-]{0,200}", re.ASCII)


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


def unsafe_segments(folder: Path, facts: Mapping[str, Any]) -> list[str]:
    """Which files of an artifact in `folder`, whose artifact.json is `facts`, must not be loaded, and why.

    Empty for what this program wrote. A runtime without a check is none of this program's: its files are trusted as its
    code is. Raises OSError for a file that cannot be read; KeyError or TypeError for facts that are no artifact's.
    """
    found = []
    for segment in facts["segments"]:
        name = segment["file"]
        try:
            if not _NAME.fullmatch(name):
                raise UnsafeFile("is not the name of a file in the artifact's folder")
            if facts["runtime"] in _CHECKS:
                check_segment(facts["runtime"], (folder / name).read_bytes())
        except UnsafeFile as error:
            found.append(f"{name[:200]!r} {error}")
    return found


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
