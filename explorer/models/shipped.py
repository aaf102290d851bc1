"""The weights that come with the package, as files: found, and held against their recorded SHA-256. Free of torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.errors import ExplorerError
from explorer.models.registry import traits

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Shipped:
    """Weights of the package: the bytes of a .safetensors file, and its card (JSON-ready)."""

    path: Path
    content: bytes
    card: Mapping[str, Any]


def shipped(model: str, dataset: str) -> Shipped:
    """The weights shipped of the family `model`, trained on `dataset`, of those that its traits name.

    Raises ExplorerError when they are not the files that were shipped.
    """
    path = FOLDER / f"{traits(model).shipped[dataset]}.safetensors"
    try:
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        content = path.read_bytes()
        expected = card["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExplorerError(f"the shipped weights {path} do not read ({error}): install the package again.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ExplorerError(
            f"the shipped weights {path} are damaged: expected the SHA-256 {expected}, got {found}; install the "
            "package again."
        )
    return Shipped(path, content, card)
