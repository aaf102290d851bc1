"""The study loop: prepare, ask, build and measure, tell; until the trials, the time or the variants are used up.

Then the finalists are confirmed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from explorer.cache import cache_root
from explorer.errors import Interrupted, NotAvailable, NothingFeasible
from explorer.space.values import SearchSpace, Vocabulary
from explorer.study.confirm import Confirming, confirm_if_due
from explorer.study.disk import disk_full_is_said
from explorer.study.drafts import no_drafts_left
from explorer.study.evaluation import Evaluator
from explorer.study.fork import Fork
from explorer.study.interrupt import Interrupt
from explorer.study.lock import study_lock
from explorer.study.misses import nothing_feasible_message
from explorer.study.now import noted
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.session import Session, open_session, stored_study
from explorer.study.streak import Streak
from explorer.study.view import StudyView


def run_study(
    space: SearchSpace,
    vocabulary: Vocabulary,
    folder: Path,
    evaluator: Evaluator,
    view: StudyView,
    interrupt: Interrupt,
    write_outputs: Callable[[StudyResult], None],
    storage_url: str | None = None,
    fork_from: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    is_confirming: bool = True,
) -> StudyResult:
    """Run the study in `folder`, or go on with it; with `fork_from`, first take over another study's trials.

    Unless `is_confirming` is False its finalists are then measured again, if that was not done yet.
    `write_outputs` gets the result at the end and at an interruption. The caller closes evaluator and view; a study
    that was begun closes the evaluator before it lets its lock go. `clock` gives seconds. Raises NothingFeasible at the
    end of a study without a feasible trial; Interrupted; NotAvailable when the baseline or MAX_SAME_FAILURES trials, or
    measurements of finalists, in a row failed; StudyLocked, StudyDamaged, StudyIncompatible; ExplorerError when the
    disk is full. The study is whole and can be resumed after each of them.
    """
    began = clock()
    with disk_full_is_said(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            study_lock(folder, view.on_note) as since,
            no_drafts_left(folder, evaluator),
            noted(view, space, folder, since) as view,
        ):
            fork = None if fork_from is None else Fork(fork_from, folder)
            stored = stored_study(space, folder, storage_url)
            prepared = evaluator.prepare(view.on_progress)
            interrupt.check()
            evidence = cache_root() / "evidence"
            session = open_session(space, vocabulary, folder, prepared, stored, evidence, storage_url)
            confirming = None
            if is_confirming:
                confirming = Confirming(session, evaluator, view, interrupt, prepared.validation_labels, clock)
            limit = _Limit(space, began, clock)
            try:
                return _run(session, evaluator, view, interrupt, write_outputs, fork, limit, confirming)
            finally:
                session.close()


class _Limit:
    """When a study that began at `began` has to begin no further trial."""

    def __init__(self, space: SearchSpace, began: float, clock: Callable[[], float]) -> None:
        self._search = space.search
        self._began = began
        self._clock = clock

    def reached(self, n_finished: int) -> str:
        """Which limit is reached, in words; empty when none is."""
        if n_finished >= self._search.n_trials:
            return f"all {self._search.n_trials} trials are done"
        if self._search.timeout_s is not None and self._clock() - self._began >= self._search.timeout_s:
            return f"the time is up ({self._search.timeout_s:g} s)"
        return ""


def _run(
    session: Session,
    evaluator: Evaluator,
    view: StudyView,
    interrupt: Interrupt,
    write_outputs: Callable[[StudyResult], None],
    fork: Fork | None,
    limit: _Limit,
    confirming: Confirming | None,
) -> StudyResult:
    try:
        if fork is not None:
            fork.adopt_baseline(session)
        if session.n_finished == 0:
            _require_baseline(_trial(session, evaluator, view, interrupt), view)
        if fork is not None:
            view.on_note(fork.adopt_others(session))
        _trials(session, evaluator, view, interrupt, limit)
        if confirming is not None:
            confirm_if_due(confirming, session, view)
    except (Interrupted, NotAvailable):
        if session.n_finished:
            write_outputs(session.result())
        raise
    result = session.result()
    write_outputs(result)
    if not any(trial.is_feasible for trial in result.trials):
        raise NothingFeasible(nothing_feasible_message(result))
    return result


def _trials(session: Session, evaluator: Evaluator, view: StudyView, interrupt: Interrupt, limit: _Limit) -> None:
    """Run trials until a limit is reached or no variant is left. Raises NotAvailable when they all fail alike."""
    streak = Streak("trials", "start the study again to resume it")
    while not (reason := limit.reached(session.n_finished)):
        record = _trial(session, evaluator, view, interrupt)
        if record is None:
            reason = f"every variant of the search space was tried ({session.grid.n_variants})"
            break
        streak.add(record.outcome.failure)
    view.on_note(f"the study ends: {reason}")


def _trial(session: Session, evaluator: Evaluator, view: StudyView, interrupt: Interrupt) -> TrialRecord | None:
    """Run the next trial; None when no variant is left. Raises Interrupted, and leaves no running trial behind."""
    interrupt.check()
    variant = session.next_variant()
    if variant is None:
        return None
    interrupt.check()
    started = time.time()
    number = session.begin(variant, started)
    view.on_trial_start(number, variant)
    try:
        outcome = evaluator.evaluate(variant, number, view.on_progress, session.is_worth_more())
    except Interrupted:
        session.interrupt(number)
        raise
    record = session.finish(number, outcome, started)
    view.on_trial_end(record, session.result())
    return record


def _require_baseline(record: TrialRecord | None, view: StudyView) -> None:
    """Say that the baseline is invalid, if it is. Raises NotAvailable when it has no result."""
    failure = None if record is None else record.outcome.failure
    if failure is not None:
        raise NotAvailable(
            f"the baseline has no result, so nothing can be compared with it: {failure.kind}: {failure.reason}. "
            "Remove the cause and start the study again"
        )
    if record is not None and record.state == "invalid":
        reasons = "; ".join(record.outcome.invalid)
        view.on_note(f"the baseline's measurement is not valid ({reasons}): comparisons with it are as uncertain")
