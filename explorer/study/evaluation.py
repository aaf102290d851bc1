"""The interfaces between the study loop, evaluators and views; and the circuit breaker for repeated failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

from explorer.errors import NotAvailable
from explorer.records import Failure, Measurement, Progress, TrialOutcome, Variant
from explorer.study.result import StudyResult, TrialRecord

MAX_SAME_FAILURES = 5
_OF_THE_VARIANT = ("nothing pruned", "nothing quantized", "without effect")
"""Failures that do not predict the next trial's: what the variant asks for has no effect on this network."""


@final
class CircuitBreaker:
    """Counts failures of one kind in a row. `things` are what fails, in the plural; `way_on` says how to continue."""

    def __init__(self, things: str, way_on: str) -> None:
        self._things = things
        self._way_on = way_on
        self._kind = ""
        self._length = 0

    def add(self, failure: Failure | None) -> None:
        """Count one more; None: it did not fail. Raises NotAvailable at MAX_SAME_FAILURES.

        A variant without effect on this network is ignored: a search space may have any number of them.
        """
        if failure is None:
            self._length = 0
            return
        if failure.kind.endswith(_OF_THE_VARIANT):
            return
        self._length = self._length + 1 if failure.kind == self._kind else 1
        self._kind = failure.kind
        if self._length >= MAX_SAME_FAILURES:
            raise NotAvailable(
                f"{self._length} {self._things} in a row failed the same way ({failure.kind}): "
                f"{failure.reason}. Remove the cause and {self._way_on}"
            )


class StudyView:
    """Displays a running study. No method raises for want of a terminal: a view that cannot write becomes silent.

    A view defines the methods of the events that it displays; here each does nothing.
    """

    def on_progress(self, progress: Progress) -> None:
        """Display progress of long work: preparing the data, training, building or measuring."""

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Display that trial `number` begins."""

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Display a trial's final state; `result_so_far` includes it."""

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """Display that the finalists were measured again; `result_so_far` has their confirmation."""

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Display one sentence."""

    def close(self) -> None:
        """Restore the terminal. Safe to call twice."""


OnProgress = Callable[[Progress], None]
CanReachFront = Callable[[Mapping[str, Measurement]], bool]
"""Return whether a trial with these metrics, of a quarter of the timing budget, is worth the whole budget."""

MAX_ATTEMPTS = 3
"""Invalid measurements are repeated, since disturbances are often brief."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Results of preparing a study.

    identity             must be equal for a study to be resumed: fingerprints of data and weights, software versions,
                         processor; JSON-ready
    provenance           other facts worth storing, the task among them; JSON-ready
    network_description  file of `explorer.models.identity`; None where the weights' fingerprint suffices
    """

    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    network_description: Path | None = None


class Evaluator(Protocol):
    """Builds and measures variants; owns the builder and the probes."""

    def prepare(self, on_progress: OnProgress) -> Prepared:
        """Decode the data and load or train the base network. Raises ExplorerError when the study cannot start."""

    def evaluate(
        self, variant: Variant, number: int, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        """Build, store and measure one variant. A fault of the variant is an outcome with a failure and never raised.

        An invalid measurement is repeated; if it stays invalid, the outcome has the reasons.
        Raises Interrupted; OSError (ENOSPC) when the study's disk is full; ExplorerError when a builder cannot be
        restarted or then has other data or another network, since no later trial would be comparable.
        """

    def remeasure(
        self, variant: Variant, artifact: str, name: str, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        """Measure times and memory of a stored artifact once more, in a fresh process; once, valid or not.

        `name` is that of the files with the raw samples. The quality is that of the same outputs as before. Faults as
        in `evaluate`. Raises Interrupted, OSError.
        """

    def quality_on_test_split(self, variant: Variant, artifact: str, on_progress: OnProgress) -> Measurement:
        """Return the main metric of a stored artifact on the test split; unknown, with the reason, if not available.

        Raises Interrupted, OSError.
        """

    def close(self) -> None:
        """End all of its processes. Safe to call twice."""
