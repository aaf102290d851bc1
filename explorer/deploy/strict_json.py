"""JSON of strangers: an object in which every key is there once and every number is one."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from explorer.errors import VerificationFailed


def strict_object(name: str, content: bytes) -> dict[str, Any]:
    """The object in the file `name`. Raises VerificationFailed: no UTF-8, no object, a duplicate key, NaN."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise VerificationFailed(f"{name} does not read as JSON: {reason}") from error
    if not isinstance(value, dict):
        raise VerificationFailed(f"{name} does not hold an object: expected {{...}}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return value
