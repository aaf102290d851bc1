"""Refusals: requests that get another answer than the one they asked for, in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, final

_SHOWN_CHARACTERS = 60


@final
class Refused(Exception):
    """A request that is answered with `status` and `{"error": sentence}`."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


@final
class ClientGone(Exception):
    """Whoever asked has hung up: there is nobody to answer."""


def shown(value: Any) -> str:
    """A value that came from a client, as JSON, cut where it gets long."""
    text = json.dumps(value) if isinstance(value, str | int | float | bool | None) else _kind(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object"
