"""BothViews: two views of one study, told the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from explorer.records import Progress, Variant
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.view import StudyView


@final
class BothViews:
    """Tells `first`, then `second`; `on_begin` is called once, when the study is known to begin."""

    def __init__(self, first: StudyView, second: StudyView, on_begin: Callable[[], None] = lambda: None) -> None:
        self._views = (first, second)
        self._on_begin = on_begin
        self._has_begun = False

    def on_progress(self, progress: Progress) -> None:
        """Tell both."""
        self._begin()
        for view in self._views:
            view.on_progress(progress)

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Tell both."""
        self._begin()
        for view in self._views:
            view.on_trial_start(number, variant)

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Tell both."""
        for view in self._views:
            view.on_trial_end(record, result_so_far)

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """Tell both."""
        for view in self._views:
            view.on_confirmed(result_so_far)

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Tell both."""
        for view in self._views:
            view.on_note(text, is_error)

    def close(self) -> None:
        """Close both."""
        for view in self._views:
            view.close()

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._on_begin()
