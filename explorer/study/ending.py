"""Ending: when a confirmation has enough rounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from explorer.study.confirmation import Confirmation, Ended
from explorer.study.confirmed import is_decided
from explorer.study.front import memberships
from explorer.study.result import StudyResult

MIN_ROUNDS, MAX_ROUNDS = 5, 10
TIME_SHARE = 0.4
"""The default budget: this share of the time that the search's trials took."""

SETTLED = 0.95
"""A membership is settled with at least this probability of being on the front, or of not being there."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is measured again: exactly `n_rounds`; None: MIN_ROUNDS to MAX_ROUNDS, until all is settled, and after
    MIN_ROUNDS only those that take no more than `seconds` in all, by what a round took so far.
    """

    n_rounds: int | None = None
    seconds: float = float("inf")

    @classmethod
    def of_search(cls, result: StudyResult) -> Budget:
        """The default: TIME_SHARE of the time that the trials took."""
        return cls(seconds=TIME_SHARE * sum(trial.finished - trial.started for trial in result.trials))


def ending(result: StudyResult, confirmation: Confirmation, budget: Budget) -> Ended | None:
    """How `confirmation`, of the trials of `result`, ends now; None: it needs another round."""
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
