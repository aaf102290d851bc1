"""StudyView: what the study loop tells whoever is watching. The views implement it; the loop knows only this."""

from __future__ import annotations

from typing import Protocol

from explorer.records import Progress, Variant
from explorer.study.result import StudyResult, TrialRecord


class StudyView(Protocol):
    """A watcher of a running study. No method raises for want of a terminal: a view that cannot write falls silent."""

    def on_progress(self, progress: Progress) -> None:
        """Long work moved on: preparing the data, training, building or measuring."""

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Trial `number` begins."""

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """A trial reached its final state; `result_so_far` holds it and every trial before it."""

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """The finalists were measured again; `result_so_far` has their confirmation."""

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Something worth one sentence."""

    def close(self) -> None:
        """Leave the terminal as it was found. Safe to call twice."""
