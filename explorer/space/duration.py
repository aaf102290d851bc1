"""Durations: `90`, `90s`, `15m` or `2h`, as seconds."""

from __future__ import annotations

import math
import re
from typing import Any

from explorer.errors import UsageError
from explorer.space.refusal import Refused, described

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh]?)")
_EXPECTED = "expected a duration such as 90, 90s, 15m or 2h"


def parse_duration(text: str) -> float:
    """Seconds. Raises UsageError for what is no duration, and for one that is not more than zero."""
    try:
        return duration_s(text)
    except Refused as refused:
        raise UsageError(refused.sentence) from None


def duration_s(value: Any) -> float:
    """Seconds of a text such as `15m`, or of a number of seconds. Raises Refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused(f"{_EXPECTED}, got {described(value)}")
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise Refused(f"{_EXPECTED}, got {described(value)}")
        seconds = float(match[1]) * _SECONDS[match[2]]
    else:
        seconds = float(value)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise Refused(f"{_EXPECTED}, more than zero, got {described(value)}")
    return seconds


def duration_text(seconds: float) -> str | int | float:
    """The shortest of `2h`, `15m` and a number of seconds that `duration_s` reads back exactly."""
    if seconds.is_integer():
        for unit in ("h", "m"):
            if seconds % _SECONDS[unit] == 0 and seconds < 1e9:
                return f"{int(seconds) // _SECONDS[unit]}{unit}"
        return int(seconds) if seconds < 1e9 else seconds
    return seconds
