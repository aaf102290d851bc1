"""Confirm the finalists: measure them in rounds, in fresh processes and in random order, until a stopping rule holds.

The validation examples alone decide which trials are on the front. The test split is used once per finalist, at the
end, and selects nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

from explorer.errors import NotAvailable
from explorer.records import Measurement, Progress
from explorer.runtimes.artifact import FILE_NAME
from explorer.study.confirm.confirmation import (
    STAGE,
    Confirmation,
    Ended,
    Repeat,
    complete,
    read_growing,
    write_growing,
)
from explorer.study.confirm.confirmed_values import confirmed, is_decided
from explorer.study.confirm.finalists import select_finalists
from explorer.study.evaluation import MAX_ATTEMPTS, CircuitBreaker, Evaluator, StudyView
from explorer.study.front import memberships
from explorer.study.result import StudyResult
from explorer.study.session import Session
from explorer.study.verdict import judge
from explorer.system.hashing import derived_seed
from explorer.system.signals import Interrupt

MIN_ROUNDS, MAX_ROUNDS = 5, 10
TIME_SHARE = 0.4
"""Default budget, as a share of the time that the search's trials took."""

SETTLED = 0.95
"""A membership is settled when its probability is at least this, or at most 1 minus this."""


@dataclass(frozen=True, slots=True)
class ConfirmationBudget:
    """Limits of a confirmation: exactly `n_rounds`; or, if None, MIN_ROUNDS to MAX_ROUNDS until all is settled.

    After MIN_ROUNDS, rounds are added only within `seconds` in all, by the mean duration of a round so far.
    """

    n_rounds: int | None = None
    seconds: float = float("inf")

    @classmethod
    def of_search(cls, result: StudyResult) -> ConfirmationBudget:
        """Return the default: TIME_SHARE of the time that the trials took."""
        return cls(seconds=TIME_SHARE * sum(trial.finished - trial.started for trial in result.trials))


def stopping_rule(result: StudyResult, confirmation: Confirmation, budget: ConfirmationBudget) -> Ended | None:
    """Return why `confirmation`, of the trials of `result`, ends now; None: it needs another round."""
    n_rounds = len(confirmation.rounds)
    if budget.n_rounds is not None:
        return "rounds" if n_rounds >= budget.n_rounds else None
    if n_rounds < MIN_ROUNDS:
        return None
    if is_decided(confirmation):
        probabilities = memberships(replace(result, confirmation=confirmation)).values()
        if all(max(one, 1.0 - one) >= SETTLED for one in probabilities):
            return "settled"
    if n_rounds >= MAX_ROUNDS:
        return "rounds"
    return "time" if confirmation.seconds * (n_rounds + 1) / n_rounds > budget.seconds else None


def missing_artifacts(result: StudyResult, confirmation: Confirmation) -> str:
    """Return which artifacts of finalists are missing in the study's folder, in words; "" when none is."""
    folder = result.folder / "artifacts"
    gone = [one.trial for one in confirmation.finalists if not (folder / one.artifact / FILE_NAME).is_file()]
    return f"the artifacts of trials {', '.join(map(str, gone))} are not in {folder}" if gone else ""


@final
class Confirmer:
    """Measures the finalists again. `clock` gives seconds that never go back."""

    def __init__(
        self,
        session: Session,
        evaluator: Evaluator,
        view: StudyView,
        interrupt: Interrupt,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._evaluator = evaluator
        self._view = view
        self._interrupt = interrupt
        self._clock = clock
        self._result = session.result()

    def begin(self) -> Confirmation:
        """Return the interrupted confirmation, if it is of the study's present trials, or a new one.

        Raises NotAvailable when artifacts of finalists are missing, StudyDamaged when the interrupted one cannot be
        read.
        """
        self._result = result = self._session.result()
        confirmation = read_growing(result.folder)
        if confirmation is None or result.is_stale(confirmation):
            seed = derived_seed(result.space.search.seed, "confirmation")
            selection = select_finalists(result, seed)
            confirmation = Confirmation(seed, *result.state, selection.finalists, selection.left_out)
        if missing := missing_artifacts(result, confirmation):
            raise NotAvailable(f"{missing}, so there is nothing to measure again: confirm where the study was made")
        return confirmation

    def run(self, confirmation: Confirmation, budget: ConfirmationBudget) -> None:
        """Continue the confirmation that `begin` returned until it is whole, and hand it to the session.

        After each round the study's folder holds all rounds so far. Raises Interrupted between measurements, after
        which the next run resumes; NotAvailable when MAX_SAME_FAILURES measurements in a row failed, and then an
        incomplete round is not stored; OSError.
        """
        self._note_begin(confirmation)
        breaker = CircuitBreaker(
            "measurements of finalists", "start or confirm the study again to go on with this round"
        )
        folder = self._result.folder
        while confirmation.ended is None:
            confirmation = replace(confirmation, ended=stopping_rule(self._result, confirmation, budget))
            if confirmation.ended is None:
                confirmation = self._with_round(confirmation, budget.n_rounds, breaker)
            write_growing(folder, confirmation)
        confirmation = self._with_test(confirmation)
        complete(folder)
        self._session.take_confirmation(confirmation)
        self._note_end(confirmation)
        self._view.on_confirmed(self._session.result())

    def _with_round(self, confirmation: Confirmation, n_rounds: int | None, breaker: CircuitBreaker) -> Confirmation:
        """Add a round: every finalist once, each in a fresh process, in an order seeded by the round's number."""
        began, n_done = self._clock(), len(confirmation.rounds)
        order = list(confirmation.finalists)
        random.Random(derived_seed(confirmation.seed, "round", n_done)).shuffle(order)
        total = max(n_done + 1, n_rounds or MIN_ROUNDS)
        repeats: list[Repeat] = []
        for finalist in order:
            note = f"round {n_done + 1}, trial {finalist.trial}"
            done = n_done * len(order) + len(repeats)
            self._view.on_progress(Progress(STAGE, done, total * len(order), note))
            repeats.append(self._repeat(finalist.trial, finalist.artifact, n_done + 1))
            breaker.add(repeats[-1].failure)
        seconds = confirmation.seconds + self._clock() - began
        return replace(confirmation, rounds=(*confirmation.rounds, tuple(repeats)), seconds=seconds)

    def _repeat(self, number: int, artifact: str, round_number: int) -> Repeat:
        """Return the first valid measurement of MAX_ATTEMPTS, or the last one, as in the search."""
        trial = self._result.trial(number)
        assert trial is not None
        name = f"confirm-{round_number:02d}-trial-{number:05d}"
        baseline = None if number == 0 else self._result.baseline_values()
        for _ in range(MAX_ATTEMPTS):
            self._interrupt.check()
            outcome = self._evaluator.remeasure(
                trial.variant, artifact, name, self._view.on_progress, self._can_reach_front
            )
            _, checked, _ = judge(outcome, self._result.space, baseline)
            anchor = None if checked.observation is None else checked.observation.anchor
            repeat = Repeat(number, checked.metrics, checked.reasons, checked.failure, anchor)
            if not repeat.reasons:
                break
        return repeat

    def _can_reach_front(self, metrics: Mapping[str, Measurement]) -> bool:
        """Return True only if a needed percentile has too few samples in a quarter of the timing budget.

        A quarter in each round exceeds the whole budget in all, and processes differ more than slices within one do.
        """
        space = self._result.space
        needed = {one.metric for one in space.objectives} | {one.metric for one in space.constraints}
        return any(metrics[name].value is None for name in needed if name in metrics)

    def _with_test(self, confirmation: Confirmation) -> Confirmation:
        """Add each finalist's quality on the test split, unless it is known, also from an earlier confirmation."""
        known = {**self._known_test(confirmation), **_known(confirmation.test_accuracies)}
        for index, finalist in enumerate(confirmation.finalists):
            if finalist.trial in known:
                continue
            self._interrupt.check()
            total = len(confirmation.finalists)
            self._view.on_progress(Progress(STAGE, index, total, f"test split, trial {finalist.trial}"))
            trial = self._result.trial(finalist.trial)
            assert trial is not None
            known[finalist.trial] = self._evaluator.quality_on_test_split(
                trial.variant, finalist.artifact, self._view.on_progress
            )
            write_growing(self._result.folder, replace(confirmation, test_accuracies=known))
        confirmation = replace(confirmation, test_accuracies=known)
        write_growing(self._result.folder, confirmation)
        return confirmation

    def _known_test(self, confirmation: Confirmation) -> dict[int, Measurement]:
        """Return the qualities that an earlier confirmation has for the same artifacts."""
        earlier = self._result.confirmation
        if earlier is None:
            return {}
        now = {(finalist.trial, finalist.artifact) for finalist in confirmation.finalists}
        same = {one.trial for one in earlier.finalists if (one.trial, one.artifact) in now}
        return {n: one for n, one in _known(earlier.test_accuracies).items() if n in same}

    def _note_begin(self, confirmation: Confirmation) -> None:
        n_others = sum(finalist.trial != 0 for finalist in confirmation.finalists)
        done = f", after {len(confirmation.rounds)} rounds of an earlier start" if confirmation.rounds else ""
        self._view.on_note(f"confirming: {n_others} finalists and the baseline are measured again{done}")
        if left_out := confirmation.left_out:
            self._view.on_note(f"{len(left_out)} more trials may belong to the front, and are left out: too many")

    def _note_end(self, confirmation: Confirmation) -> None:
        how = {
            "settled": "who is on the front is settled",
            "rounds": "these were all, whether or not every membership is settled",
            "time": "the time for it is up, and not every membership is settled",
        }
        ended = confirmation.ended or "rounds"
        self._view.on_note(f"confirmed in {len(confirmation.rounds)} rounds: {how[ended]}")
        for one in confirmed(self._result, confirmation).unconfirmed:
            self._view.on_note(f"trial {one.trial} is not confirmed: {one.why}")


def confirm_if_due(confirmer: Confirmer, session: Session, view: StudyView) -> None:
    """Confirm the finalists, unless they are confirmed or there are none; report why when that is impossible.

    Raises Interrupted, StudyDamaged, NotAvailable when finalists fail the same way in a row, OSError.
    """
    result = session.result()
    if not any(trial.is_feasible for trial in result.trials):
        return
    if result.confirmation is not None:
        if not result.is_stale(result.confirmation):
            return
        view.on_note(f"the study was confirmed when it had {result.confirmation.n_trials} trials: confirming again")
    try:
        confirmation = confirmer.begin()
    except NotAvailable as error:
        view.on_note(f"not confirmed: {error}", is_error=True)
        return
    confirmer.run(confirmation, ConfirmationBudget.of_search(result))


def _known(accuracies: Mapping[int, Measurement]) -> dict[int, Measurement]:
    return {number: one for number, one in accuracies.items() if one.value is not None}
