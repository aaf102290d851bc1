"""Confirming a study later, or again, under its lock."""

from __future__ import annotations

import time
from collections.abc import Callable

from explorer.cache import cache_root
from explorer.errors import NothingFeasible
from explorer.space.values import Vocabulary
from explorer.study.confirm import Confirming
from explorer.study.disk import disk_full_is_said
from explorer.study.drafts import no_drafts_left
from explorer.study.ending import Budget
from explorer.study.evaluation import Evaluator
from explorer.study.interrupt import Interrupt
from explorer.study.lock import study_lock
from explorer.study.misses import nothing_feasible_message
from explorer.study.now import noted
from explorer.study.result import StudyResult
from explorer.study.session import open_session, stored_study
from explorer.study.view import StudyView


def confirm_study(
    found: StudyResult,
    vocabulary: Vocabulary,
    evaluator: Evaluator,
    view: StudyView,
    interrupt: Interrupt,
    write_outputs: Callable[[StudyResult], None],
    n_rounds: int | None = None,
    storage_url: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> StudyResult:
    """Measure the finalists of the study `found` again, or go on where that was interrupted.

    What an earlier confirmation found stays until this one is whole. `n_rounds`: exactly so many, else as
    `explorer.study.ending.Budget` says. The caller closes evaluator and view. Raises NothingFeasible when no trial
    could be on a front; NotAvailable when artifacts are missing or finalists fail the same way in a row;
    Interrupted; StudyLocked, StudyDamaged, StudyIncompatible; ExplorerError when the disk is full.
    """
    folder, space = found.folder, found.space
    with (
        disk_full_is_said(folder),
        study_lock(folder, view.on_note) as since,
        no_drafts_left(folder, evaluator),
        noted(view, space, folder, since) as told,
    ):
        if not any(trial.is_feasible for trial in found.trials):
            raise NothingFeasible(nothing_feasible_message(found))
        stored = stored_study(space, folder, storage_url)
        prepared = evaluator.prepare(told.on_progress)
        interrupt.check()
        session = open_session(space, vocabulary, folder, prepared, stored, cache_root() / "evidence", storage_url)
        try:
            budget = Budget.of_search(session.result()) if n_rounds is None else Budget(n_rounds)
            confirming = Confirming(session, evaluator, told, interrupt, prepared.validation_labels, clock)
            confirming.run(confirming.begin(), budget)
            result = session.result()
        finally:
            session.close()
        write_outputs(result)
        return result
