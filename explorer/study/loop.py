"""Run a study under its lock: propose, build, measure and record trials up to a limit, then confirm the finalists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.errors import ExplorerError, Interrupted, ModelError, NotAvailable, NothingFeasible, StudyIncompatible
from explorer.space.values import SearchSpace, Vocabulary
from explorer.study.baseline import baseline_sentence, input_sentence, warnings
from explorer.study.confirm.rounds import ConfirmationBudget, Confirmer, confirm_if_due
from explorer.study.evaluation import CircuitBreaker, Evaluator, StudyView
from explorer.study.fork import Fork
from explorer.study.infeasibility import nothing_feasible_message
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.session import Session, open_session, stored_study
from explorer.study.store.files import no_drafts_left
from explorer.study.store.live_status import recording_live_status
from explorer.study.store.location import StudyLocation
from explorer.study.store.lock import study_lock
from explorer.system.disk_errors import explaining_disk_errors
from explorer.system.signals import Interrupt


@dataclass(frozen=True, slots=True)
class StudyTools:
    """What a study is run with; the caller closes evaluator and view.

    vocabulary     the names that the search space may use
    write_outputs  gets the result at the end and at an interruption
    storage_url    the study's database; None: the one that the study's folder names, or has
    clock          seconds that never go back
    """

    vocabulary: Vocabulary
    evaluator: Evaluator
    view: StudyView
    interrupt: Interrupt
    write_outputs: Callable[[StudyResult], None]
    storage_url: str | None = None
    clock: Callable[[], float] = time.monotonic


def run_study(
    space: SearchSpace, folder: Path, tools: StudyTools, fork_from: Path | None = None, is_confirming: bool = True
) -> StudyResult:
    """Run the study in `folder`, or resume it; with `fork_from`, first adopt another study's trials.

    Unless `is_confirming` is False, its finalists are then measured again if they were not yet. Raises NothingFeasible
    at the end of a study without a feasible trial; Interrupted; NotAvailable when the baseline, or MAX_SAME_FAILURES
    trials or measurements of finalists in a row, failed; StudyLocked, StudyDamaged; StudyIncompatible, also when a
    restarted builder finds other data or another network; ExplorerError when the disk is full. After each of them the
    study is whole and can be resumed.
    """
    began = tools.clock()
    with explaining_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _coordinating(space, folder, tools) as tools:
        fork = None if fork_from is None else Fork(fork_from, folder)
        session = _open(space, folder, tools)
        try:
            if sentence := input_sentence(session.facts.identity, session.facts.provenance):
                tools.view.on_note(sentence)
            confirmer = _confirmer(session, tools) if is_confirming else None
            return _search(session, tools, fork, began, confirmer)
        finally:
            session.close()


def confirm_study(found: StudyResult, tools: StudyTools, n_rounds: int | None = None) -> StudyResult:
    """Measure the finalists of the study `found` again, or resume that where it was interrupted.

    The earlier confirmation stays until the new one is whole. `n_rounds` None: as many as ConfirmationBudget says.
    Raises NothingFeasible when no trial could be on a front; NotAvailable when artifacts are missing or finalists fail
    the same way in a row; Interrupted; StudyLocked, StudyDamaged, StudyIncompatible; ExplorerError when the disk is
    full.
    """
    with _coordinating(found.space, found.folder, tools) as tools:
        if not any(trial.is_feasible for trial in found.trials):
            raise NothingFeasible(nothing_feasible_message(found))
        session = _open(found.space, found.folder, tools)
        try:
            result = session.result()
            budget = ConfirmationBudget.of_search(result) if n_rounds is None else ConfirmationBudget(n_rounds)
            confirmer = _confirmer(session, tools)
            confirmer.run(confirmer.begin(), budget)
            result = session.result()
        finally:
            session.close()
        tools.write_outputs(result)
        return result


@contextmanager
def _coordinating(space: SearchSpace, folder: Path, tools: StudyTools) -> Iterator[StudyTools]:
    """Hold the study's lock and record its live status; close the evaluator before the lock is released."""
    with (
        explaining_disk_errors(folder),
        study_lock(folder, tools.view.on_note) as since,
        no_drafts_left(folder, tools.evaluator),
        recording_live_status(tools.view, space, folder, since) as view,
    ):
        yield replace(tools, view=view)


def _open(space: SearchSpace, folder: Path, tools: StudyTools) -> Session:
    location = StudyLocation(folder, tools.storage_url)
    stored = stored_study(space, location)
    prepared = tools.evaluator.prepare(tools.view.on_progress)
    tools.interrupt.check()
    return open_session(space, tools.vocabulary, location, prepared, stored)


def _confirmer(session: Session, tools: StudyTools) -> Confirmer:
    return Confirmer(session, tools.evaluator, tools.view, tools.interrupt, tools.clock)


def _reached_limit(session: Session, seconds: float) -> str:
    """Return which limit of the study is reached after `seconds`, in words; empty when none is."""
    search = session.space.search
    if session.n_finished >= search.n_trials:
        return f"all {search.n_trials} trials are done"
    if search.timeout_s is not None and seconds >= search.timeout_s:
        return f"the time is up ({search.timeout_s:g} s)"
    return ""


def _search(
    session: Session, tools: StudyTools, fork: Fork | None, began: float, confirmer: Confirmer | None
) -> StudyResult:
    view = tools.view
    try:
        if fork is not None:
            fork.adopt_baseline(session)
        if session.n_finished == 0:
            _require_baseline(_trial(session, tools), view)
        if fork is not None:
            view.on_note(fork.adopt_others(session))
        _note_baseline(session.result(), view)
        _trials(session, tools, began)
        if confirmer is not None:
            confirm_if_due(confirmer, session, view)
    except (Interrupted, NotAvailable, ModelError, StudyIncompatible):
        if session.n_finished:
            tools.write_outputs(session.result())
        raise
    result = session.result()
    tools.write_outputs(result)
    if not any(trial.is_feasible for trial in result.trials):
        raise NothingFeasible("\n".join([nothing_feasible_message(result), *warnings(result)]))
    return result


def _trials(session: Session, tools: StudyTools, began: float) -> None:
    """Run trials until a limit is reached or no variant is left. Raises NotAvailable when they all fail alike."""
    breaker = CircuitBreaker("trials", "start the study again to resume it")
    while not (reason := _reached_limit(session, tools.clock() - began)):
        record = _trial(session, tools)
        if record is None:
            reason = f"every variant of the search space was tried ({session.grid.n_variants})"
            break
        breaker.add(record.outcome.failure)
    tools.view.on_note(f"the study ends: {reason}")


def _trial(session: Session, tools: StudyTools) -> TrialRecord | None:
    """Run the next trial; None when no variant is left. Raises as evaluating does, and leaves no running trial."""
    tools.interrupt.check()
    variant = session.next_variant()
    if variant is None:
        return None
    tools.interrupt.check()
    started = time.time()
    number = session.begin(variant, started)
    tools.view.on_trial_start(number, variant)
    try:
        outcome = tools.evaluator.evaluate(variant, number, tools.view.on_progress, session.can_reach_front())
    except ExplorerError:
        session.interrupt(number)
        raise
    record = session.finish(number, outcome, started)
    if n_again := session.rejudge():
        tools.view.on_note(f"a lower quiet level of the core is known; trials judged again by it: {n_again}")
        record = session.result().trials[-1]  # it may be one of them
    tools.view.on_trial_end(record, session.result())
    return record


def _note_baseline(result: StudyResult, view: StudyView) -> None:
    """Report the baseline's accuracy beside that of guessing, with a warning where it is no better."""
    if sentence := baseline_sentence(result):
        view.on_note(sentence)
    for warning in warnings(result):
        view.on_note(warning, is_error=True)


def _require_baseline(record: TrialRecord | None, view: StudyView) -> None:
    """Report an invalid baseline. Raises NotAvailable when it has no result."""
    failure = None if record is None else record.outcome.failure
    if failure is not None:
        raise NotAvailable(
            f"the baseline has no result, so nothing can be compared with it: {failure.kind}: {failure.reason}. "
            "Remove the cause and start the study again"
        )
    if record is not None and record.state == "invalid":
        reasons = "; ".join(record.outcome.invalid)
        view.on_note(f"the baseline's measurement is not valid ({reasons}): comparisons with it are as uncertain")
