"""Compact trials in memory, of which a long study holds thousands.

Observations are needed only when a trial is displayed. Until then they are compressed.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import lru_cache
from sys import intern
from typing import final

from explorer.observation import Observation, PackedObservation
from explorer.records import Metrics, Stage
from explorer.study.result import TrialRecord


@final
class PackedStages(Collection[Stage]):
    """Stages whose names and flags are shared by all trials, with their seconds: half of the memory."""

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


def compacted(record: TrialRecord) -> TrialRecord:
    """Return an equal record that takes a fraction of the memory."""
    outcome = record.outcome
    observed = PackedObservation(outcome.observed) if isinstance(outcome.observed, Observation) else outcome.observed
    violations = {intern(text): amount for text, amount in record.violations.items()}
    smaller = replace(
        outcome, metrics=Metrics.of(outcome.metrics), observed=observed, stages=PackedStages(outcome.stages)
    )
    return replace(record, outcome=smaller, violations=violations)
