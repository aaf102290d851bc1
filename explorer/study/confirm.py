"""Confirm: after the search, measure again what may belong to the front, in fresh processes and in random order.

The validation images alone decide who is on the front; the test split is looked at once per finalist, at the end, and
chooses nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np

from explorer.errors import NotAvailable
from explorer.records import Measurement, Progress
from explorer.runtimes.artifact import FILE_NAME
from explorer.study.confirmation import STAGE, Confirmation, Take, state_of
from explorer.study.confirmation_file import complete, read_growing, write_growing
from explorer.study.confirmed import confirmed
from explorer.study.ending import MIN_ROUNDS, Budget, ending
from explorer.study.evaluation import MAX_ATTEMPTS, Evaluator
from explorer.study.finalists import select_finalists
from explorer.study.interrupt import Interrupt
from explorer.study.judge import judge
from explorer.study.result import StudyResult
from explorer.study.seeds import derived_seed
from explorer.study.session import Session
from explorer.study.streak import Streak
from explorer.study.view import StudyView


def missing_artifacts(result: StudyResult, confirmation: Confirmation) -> str:
    """Which artifacts of the finalists are not in the study's folder, in words; empty when all are there."""
    folder = result.folder / "artifacts"
    gone = [one.trial for one in confirmation.finalists if not (folder / one.artifact / FILE_NAME).is_file()]
    return f"the artifacts of trials {', '.join(map(str, gone))} are not in {folder}" if gone else ""


@final
class Confirming:
    """Measures the finalists of a session's study again.

    `labels` is a file as in `Prepared`; `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        session: Session,
        evaluator: Evaluator,
        view: StudyView,
        interrupt: Interrupt,
        labels: Path | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._evaluator = evaluator
        self._view = view
        self._interrupt = interrupt
        self._labels = labels
        self._clock = clock
        self._result = session.result()

    def begin(self) -> Confirmation:
        """The confirmation that was interrupted, if it is of the study's trials as they are now, or a new one.

        Raises NotAvailable when artifacts of finalists are missing, StudyDamaged when what was interrupted does not
        read.
        """
        self._result = result = self._session.result()
        confirmation = read_growing(result.folder)
        if confirmation is None or confirmation.is_stale(result.trials):
            seed = derived_seed(result.space.search.seed, "confirmation")
            selection = select_finalists(result, None if self._labels is None else np.load(self._labels), seed)
            confirmation = Confirmation(seed, *state_of(result.trials), selection.finalists, selection.left_out)
        if missing := missing_artifacts(result, confirmation):
            raise NotAvailable(f"{missing}, so there is nothing to measure again: confirm where the study was made")
        return confirmation

    def run(self, confirmation: Confirmation, budget: Budget) -> None:
        """Go on with what `begin` gave until it is whole; the session has it then.

        After each round the study's folder holds all rounds so far. Raises Interrupted, between measurements, and then
        the next run goes on; NotAvailable when MAX_SAME_FAILURES measurements in a row failed, of which those in a
        round that is not whole are not kept; OSError.
        """
        self._say_begin(confirmation)
        streak = Streak("measurements of finalists", "start or confirm the study again to go on with this round")
        folder = self._result.folder
        while confirmation.ended is None:
            confirmation = replace(confirmation, ended=ending(self._result, confirmation, budget))
            if confirmation.ended is None:
                confirmation = self._with_round(confirmation, budget, streak)
            write_growing(folder, confirmation)
        confirmation = self._with_test(confirmation)
        complete(folder)
        self._session.take_confirmation(confirmation)
        self._say_end(confirmation)
        self._view.on_confirmed(self._session.result())

    def _with_round(self, confirmation: Confirmation, budget: Budget, streak: Streak) -> Confirmation:
        """One more round: every finalist once, in a fresh process each, in an order that seed and round give."""
        began, n_done = self._clock(), len(confirmation.rounds)
        order = list(confirmation.finalists)
        random.Random(derived_seed(confirmation.seed, "round", n_done)).shuffle(order)
        total = max(n_done + 1, budget.n_rounds or MIN_ROUNDS)
        takes: list[Take] = []
        for finalist in order:
            note = f"round {n_done + 1}, trial {finalist.trial}"
            done = n_done * len(order) + len(takes)
            self._view.on_progress(Progress(STAGE, done, total * len(order), note))
            takes.append(self._take(finalist.trial, finalist.artifact, n_done + 1))
            streak.add(takes[-1].failure)
        seconds = confirmation.seconds + self._clock() - began
        return replace(confirmation, rounds=(*confirmation.rounds, tuple(takes)), seconds=seconds)

    def _take(self, number: int, artifact: str, round_number: int) -> Take:
        """The first take that can be believed of a few, or the last one, as in the search."""
        trial = self._result.trial(number)
        assert trial is not None
        name = f"confirm-{round_number:02d}-trial-{number:05d}"
        baseline = None if number == 0 else self._result.baseline_values()
        for _ in range(MAX_ATTEMPTS):
            self._interrupt.check()
            outcome = self._evaluator.measure_again(
                trial.variant, artifact, name, self._view.on_progress, self._is_worth_more
            )
            _, checked, _ = judge(outcome, self._result.space, baseline)
            take = Take(number, checked.metrics, checked.invalid, checked.failure)
            if not take.invalid:
                break
        return take

    def _is_worth_more(self, metrics: Mapping[str, Measurement]) -> bool:
        """A quarter of the timing budget in each round makes more than the whole in all of them, and processes differ
        more than windows within one do; the whole is for a percentile that a quarter has too few samples for.
        """
        space = self._result.space
        needed = {one.metric for one in space.objectives} | {one.metric for one in space.constraints}
        return any(metrics[name].value is None for name in needed if name in metrics)

    def _with_test(self, confirmation: Confirmation) -> Confirmation:
        """The accuracy of each finalist on the test split; one that is known, also from an earlier time, stays."""
        known = {**self._known_test(confirmation), **_known(confirmation.test_accuracies)}
        for index, finalist in enumerate(confirmation.finalists):
            if finalist.trial in known:
                continue
            self._interrupt.check()
            total = len(confirmation.finalists)
            self._view.on_progress(Progress(STAGE, index, total, f"test split, trial {finalist.trial}"))
            trial = self._result.trial(finalist.trial)
            assert trial is not None
            accuracy = self._evaluator.judge_on_test(trial.variant, finalist.artifact, self._view.on_progress)
            known[finalist.trial] = accuracy
            write_growing(self._result.folder, replace(confirmation, test_accuracies=known))
        confirmation = replace(confirmation, test_accuracies=known)
        write_growing(self._result.folder, confirmation)
        return confirmation

    def _known_test(self, confirmation: Confirmation) -> dict[int, Measurement]:
        """What an earlier confirmation knows of the same artifacts."""
        earlier = self._result.confirmation
        if earlier is None:
            return {}
        now = {(finalist.trial, finalist.artifact) for finalist in confirmation.finalists}
        same = {one.trial for one in earlier.finalists if (one.trial, one.artifact) in now}
        return {n: one for n, one in _known(earlier.test_accuracies).items() if n in same}

    def _say_begin(self, confirmation: Confirmation) -> None:
        n_others = sum(finalist.trial != 0 for finalist in confirmation.finalists)
        done = f", after {len(confirmation.rounds)} rounds of an earlier start" if confirmation.rounds else ""
        self._view.on_note(f"confirming: {n_others} finalists and the baseline are measured again{done}")
        if left_out := confirmation.left_out:
            self._view.on_note(f"{len(left_out)} more trials may belong to the front, and are left out: too many")

    def _say_end(self, confirmation: Confirmation) -> None:
        how = {
            "settled": "who is on the front is settled",
            "rounds": "these were all, whether or not every membership is settled",
            "time": "the time for it is up, and not every membership is settled",
        }
        ended = confirmation.ended or "rounds"
        self._view.on_note(f"confirmed in {len(confirmation.rounds)} rounds: {how[ended]}")
        for one in confirmed(self._result, confirmation).unconfirmed:
            self._view.on_note(f"trial {one.trial} is not confirmed: {one.why}")


def confirm_if_due(confirming: Confirming, session: Session, view: StudyView) -> None:
    """Confirm the finalists, unless they are confirmed, or there are none; say why when they cannot be.

    Raises Interrupted, StudyDamaged, NotAvailable when finalists fail the same way in a row, OSError.
    """
    result = session.result()
    if not any(trial.is_feasible for trial in result.trials):
        return
    if result.confirmation is not None:
        if not result.confirmation.is_stale(result.trials):
            return
        view.on_note(f"the study was confirmed when it had {result.confirmation.n_trials} trials: confirming again")
    try:
        confirmation = confirming.begin()
    except NotAvailable as error:
        view.on_note(f"not confirmed: {error}", is_error=True)
        return
    confirming.run(confirmation, Budget.of_search(result))


def _known(accuracies: Mapping[int, Measurement]) -> dict[int, Measurement]:
    return {number: one for number, one in accuracies.items() if one.value is not None}
