"""Shown: the values that views show of a study: confirmed ones of confirmed finalists, the search's of all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from explorer.records import Measurement
from explorer.study.confirmed import Confirmed, confirmed
from explorer.study.front import FrontSummary, front_summary, memberships
from explorer.study.result import StudyResult, TrialRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """What the confirmation says of one finalist.

    `probability` of being on the front, None where its values are not confirmed or break a constraint in any case.
    `ties` are the trials that cannot be told from it in any objective. `why` says why it is not confirmed; empty: it
    is.
    """

    probability: float | None = None
    ties: tuple[int, ...] = ()
    is_near: bool = False
    test_accuracy: Measurement | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A study as it is shown: `result`; `searched` is it as the search measured it, which samples belong to.

    `confirmed` are the numbers of the trials whose values in `result` are confirmed in `n_rounds` rounds, `standings`
    has every finalist. Both are empty where there is no confirmation, or one of other trials.
    """

    searched: StudyResult
    result: StudyResult
    n_rounds: int = 0
    confirmed: frozenset[int] = frozenset()
    standings: Mapping[int, Standing] = field(default_factory=dict)

    @property
    def is_confirmed(self) -> bool:
        """Whether there is a confirmation of these trials."""
        return bool(self.standings)

    @property
    def candidates(self) -> frozenset[int]:
        """The trials that may be on the front: the feasible ones, of a confirmed study the confirmed ones of these."""
        feasible = frozenset(trial.number for trial in self.result.trials if trial.is_feasible)
        return feasible & self.confirmed if self.is_confirmed else feasible


def shown_study(result: StudyResult, summary: FrontSummary | None = None) -> Shown:
    """The study as it is shown with `summary`, a front of it (default: that of its own constraints)."""
    confirmation = result.confirmation
    if confirmation is None or confirmation.is_stale(result.trials):
        return Shown(result, result)
    summary = front_summary(result) if summary is None else summary
    if not summary.is_confirmed:
        return Shown(result, result)
    found = confirmed(result, confirmation)
    known = _confirmed_trials(found)
    shown = replace(result, trials=tuple(known.get(trial.number, trial) for trial in result.trials))
    return Shown(result, shown, summary.n_rounds, frozenset(known), _standings(result, summary, found, known))


def confirmed_values(result: StudyResult, summary: FrontSummary) -> StudyResult:
    """The study with confirmed values where `summary` has them; without probabilities, which take time."""
    if not summary.is_confirmed or result.confirmation is None:
        return result
    known = _confirmed_trials(confirmed(result, result.confirmation))
    return replace(result, trials=tuple(known.get(trial.number, trial) for trial in result.trials))


def _confirmed_trials(found: Confirmed) -> dict[int, TrialRecord]:
    """The trials with confirmed values; a baseline without such values stands there as invalid."""
    return {trial.number: trial for trial in found.result.trials if trial.state != "invalid"}


def _standings(
    result: StudyResult, summary: FrontSummary, found: Confirmed, known: Mapping[int, TrialRecord]
) -> dict[int, Standing]:
    assert result.confirmation is not None
    probabilities = memberships(result)
    entries = {entry.trial.number: entry for entry in (*summary.entries, *summary.near)}
    near = {entry.trial.number for entry in summary.near}
    why = {one.trial: one.why for one in found.unconfirmed}
    standings = {}
    for number in sorted(finalist.trial for finalist in result.confirmation.finalists):
        entry = entries.get(number)
        standings[number] = Standing(
            probability=probabilities.get(number) if entry is None else entry.probability,
            ties=() if entry is None else entry.ties,
            is_near=number in near,
            test_accuracy=result.confirmation.test_accuracies.get(number),
            why="" if number in known and number not in why else why.get(number, "it was not measured again"),
        )
    return standings
