"""What the study loop asks of the world: prepare once, then evaluate variants. The real one and the tests' fake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from explorer.records import Progress, TrialOutcome, Variant

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparing found: facts that identify the study's world.

    `identity` must be equal for a study to be resumed (data fingerprint and kind, weights fingerprint, software
    versions, processor); `provenance` is everything else worth keeping. Both are JSON-ready.
    """

    n_classes: int
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]


class Evaluator(Protocol):
    """Builds and measures variants; owns the builder and the probes."""

    def prepare(self, on_progress: OnProgress) -> Prepared:
        """Decode the data and load or train the base network. Raises ExplorerError when the study cannot start."""

    def evaluate(self, variant: Variant, number: int, on_progress: OnProgress) -> TrialOutcome:
        """Build, store and measure one variant. A fault of the variant is an outcome with a failure, never raised.

        Raises Interrupted when the process was asked to stop; OSError (ENOSPC) when the study's disk is full.
        """

    def close(self) -> None:
        """End every process of its own."""
