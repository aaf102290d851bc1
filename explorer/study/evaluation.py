"""What the study loop asks of the world: prepare once, then evaluate variants. The real one and the tests' fake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from explorer.records import Measurement, Progress, TrialOutcome, Variant

OnProgress = Callable[[Progress], None]
IsWorthMore = Callable[[Mapping[str, Measurement]], bool]
"""Whether a trial with these metrics, of a quarter of the timing budget, deserves the whole of it."""

MAX_ATTEMPTS = 3
"""A measurement that cannot be believed is made again; what disturbed it has often gone by then."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparing found: facts that identify the study's world.

    `identity` must be equal for a study to be resumed (data fingerprint and kind, weights fingerprint, software
    versions, processor); `provenance` is everything else worth keeping. Both are JSON-ready. `validation_labels` is a
    `.npy` file of the validation images' classes, integers [n]; None: nobody can tell which were classified correctly.
    """

    n_classes: int
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    validation_labels: Path | None = None


class Evaluator(Protocol):
    """Builds and measures variants; owns the builder and the probes."""

    def prepare(self, on_progress: OnProgress) -> Prepared:
        """Decode the data and load or train the base network. Raises ExplorerError when the study cannot start."""

    def evaluate(
        self, variant: Variant, number: int, on_progress: OnProgress, is_worth_more: IsWorthMore
    ) -> TrialOutcome:
        """Build, store and measure one variant. A fault of the variant is an outcome with a failure, never raised.

        A measurement that cannot be believed is made again, and says why when it stays so (`TrialOutcome.invalid`).
        Raises Interrupted when the process was asked to stop; OSError (ENOSPC) when the study's disk is full.
        """

    def measure_again(
        self, variant: Variant, artifact: str, name: str, on_progress: OnProgress, is_worth_more: IsWorthMore
    ) -> TrialOutcome:
        """Take the times and the memory of a stored artifact once more, in a fresh process.

        `name` is that of the files with the raw samples. The outcome's accuracy is that of the same outputs as before.
        Faults as in `evaluate`; the measurement is made once, valid or not. Raises Interrupted, OSError.
        """

    def judge_on_test(self, variant: Variant, artifact: str, on_progress: OnProgress) -> Measurement:
        """The accuracy of a stored artifact on the test split; unknown, with the reason, where it cannot be had.

        Raises Interrupted, OSError.
        """

    def close(self) -> None:
        """End every process of its own. Safe to call twice."""
