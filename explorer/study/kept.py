"""Kept: a finished trial as a running study keeps it, since a long one keeps thousands.

The details of a trial are asked for when somebody looks at that trial. Until then they are JSON text, compressed: about
a kilobyte instead of six.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from sys import intern
from typing import Any, final

from pydantic_core import from_json

from explorer.records import Metrics, Stage
from explorer.study.result import TrialRecord

_LEVEL = 1  # of compression: a higher one saves a tenth


@final
class PackedDetails(Mapping[str, Any]):
    """JSON-ready details, read from their text each time that somebody asks; a change of what is read stays there."""

    __slots__ = ("_text",)

    def __init__(self, details: Mapping[str, Any]) -> None:
        """Raises TypeError or ValueError when they are not JSON-ready."""
        self._text = zlib.compress(json.dumps(dict(details)).encode(), _LEVEL)

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"PackedDetails({self._read()})"

    def _read(self) -> dict[str, Any]:
        details: dict[str, Any] = from_json(zlib.decompress(self._text))
        return details


@final
class PackedStages(Collection[Stage]):
    """Stages whose names and flags are shared with all other trials, beside their seconds: half of the memory."""

    __slots__ = ("_kinds", "_seconds")

    def __init__(self, stages: Collection[Stage]) -> None:
        self._kinds = _shared(tuple((stage.name, stage.is_cached) for stage in stages))
        self._seconds = array("d", [stage.seconds for stage in stages]).tobytes()

    def __iter__(self) -> Iterator[Stage]:
        seconds = array("d", self._seconds)
        return (Stage(name, took, is_cached) for (name, is_cached), took in zip(self._kinds, seconds, strict=True))

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, stage: object) -> bool:
        return stage in tuple(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedStages | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"PackedStages({tuple(self)})"


@lru_cache(maxsize=256)
def _shared(kinds: tuple[tuple[str, bool], ...]) -> tuple[tuple[str, bool], ...]:
    return kinds


def kept(record: TrialRecord) -> TrialRecord:
    """An equal record in a fraction of the memory."""
    outcome = record.outcome
    details = outcome.details if isinstance(outcome.details, PackedDetails) else PackedDetails(outcome.details)
    violations = {intern(text): amount for text, amount in record.violations.items()}
    smaller = replace(
        outcome, metrics=Metrics.of(outcome.metrics), details=details, stages=PackedStages(outcome.stages)
    )
    return replace(record, outcome=smaller, violations=violations)
