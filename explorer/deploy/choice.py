"""Which trial leaves: by number, the knee, or the best of a metric; what it gives up against its neighbors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.errors import NothingFeasible, UsageError
from explorer.objectives import METRICS, Constraint
from explorer.records import Measurement
from explorer.study.confirmed import confirmed
from explorer.study.front import FrontEntry, FrontSummary, front_summary, memberships
from explorer.study.misses import empty_front_message
from explorer.study.result import StudyResult, TrialRecord


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for: exactly one of a trial's number, the knee, and the best of a metric."""

    trial: int | None = None
    is_knee: bool = False
    best: str | None = None
    where: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        asked = [self.trial is not None, self.is_knee, self.best is not None]
        if sum(asked) != 1:
            raise UsageError(
                f"expected one of --trial N, --knee and --best METRIC, got {sum(asked) or 'none'} of them: "
                "`explore front` shows what there is to choose from"
            )
        if self.trial is not None and self.where:
            raise UsageError("--where chooses among trials, and --trial has chosen already: leave one of them out")
        if self.best is not None and self.best not in METRICS:
            raise UsageError(f"expected a metric after --best, one of {', '.join(METRICS)}; got {self.best!r}")


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A trial next to the chosen one on the front. `differences`: each objective's value there minus that here."""

    trial: int
    differences: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ConfirmedValues:
    """The confirmed values of a trial: medians over `n_rounds` rounds; what is said of it beside them as in FrontEntry.

    `test_accuracy` is None where the confirmation does not have it.
    """

    n_rounds: int
    metrics: Mapping[str, Measurement]
    probability: float | None
    ties: tuple[int, ...]
    test_accuracy: Measurement | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The trial that leaves, how it was chosen, in words, and its neighbors on the front in the first objective.

    `objections` say what speaks against it: it is invalid or infeasible, or others dominate it. `confirmed` is what
    measuring it again found, None where nobody did.
    """

    trial: TrialRecord
    how: str
    is_on_front: bool
    objections: tuple[str, ...]
    neighbors: tuple[Neighbor, ...]
    confirmed: ConfirmedValues | None = None


def choose(result: StudyResult, wish: Wish, is_forced: bool = False) -> Choice:
    """The trial that `wish` names, as the search measured it.

    Of a confirmed study, knee and best are those of the confirmed values, among the members of the front that are more
    likely on it than not. Those follow from the validation images; accuracy on the test split chooses nothing.
    Raises NothingFeasible with the nearest misses; UsageError when there is no such trial, when it failed, or when it
    is infeasible or dominated and `is_forced` is False.
    """
    summary = front_summary(result, wish.where)
    trial, how = _numbered(result, wish.trial) if wish.trial is not None else _of_front(result, summary, wish)
    whole = front_summary(result)
    is_on_front = trial.number in _numbers(whole)
    objections = _objections(trial, whole)
    if wish.trial is not None and objections and not is_forced:
        raise UsageError(
            f"trial {trial.number} {' and '.join(objections)}: choose another (`explore front {result.name}`), or add "
            "--force to export it all the same, with that said in its manifest"
        )
    neighbors, again = _neighbors(result, whole, trial), _confirmed_values(result, whole, trial.number)
    return Choice(trial, how, is_on_front, objections, neighbors, again)


def _confirmed_values(result: StudyResult, whole: FrontSummary, number: int) -> ConfirmedValues | None:
    """What the confirmation knows of that trial; None where the front is not of confirmed values, or not its."""
    confirmation = result.confirmation
    if confirmation is None or not whole.is_confirmed:
        return None
    found = confirmed(result, confirmation).result.trial(number)
    if found is None or found.state == "invalid":
        return None
    entry = next((one for one in (*whole.entries, *whole.near) if one.trial.number == number), None)
    return ConfirmedValues(
        n_rounds=whole.n_rounds,
        metrics=found.outcome.metrics,
        probability=memberships(result).get(number) if entry is None else entry.probability,
        ties=() if entry is None else entry.ties,
        test_accuracy=confirmation.test_accuracies.get(number),
    )


def _numbered(result: StudyResult, number: int) -> tuple[TrialRecord, str]:
    trial = result.trial(number)
    if trial is None:
        raise UsageError(f"no finished trial {number} in {result.name}: `explore front {result.name}` lists its front")
    if trial.outcome.failure is not None or trial.outcome.artifact is None:
        why = trial.outcome.failure.reason if trial.outcome.failure else "it has no artifact"
        raise UsageError(f"trial {number} failed ({why}), so there is nothing to export: choose another")
    return trial, f"trial {number}, by its number"


def _of_front(result: StudyResult, summary: FrontSummary, wish: Wish) -> tuple[TrialRecord, str]:
    if not summary.entries:
        raise NothingFeasible(empty_front_message(result, summary))
    limits = "".join(f"{' and' if i else ' where'} {bound}" for i, bound in enumerate(wish.where))
    front = "confirmed front" if summary.is_confirmed else "front"
    if wish.best is None:
        assert summary.knee is not None
        return _searched(result, summary.knee.trial), f"the knee of the {front}{limits}"
    return _searched(result, _best(summary.eligible, wish.best)), f"the best {wish.best} of the {front}{limits}"


def _searched(result: StudyResult, trial: TrialRecord) -> TrialRecord:
    """The trial as the search measured it: its samples are those that leave with it."""
    found = result.trial(trial.number)
    assert found is not None
    return found


def _best(entries: Sequence[FrontEntry], metric: str) -> TrialRecord:
    """The front's best in `metric`; of equal ones the first of the front."""
    known = [entry.trial for entry in entries if metric in entry.trial.values()]
    if not known:
        measurement = entries[0].trial.outcome.metrics.get(metric)
        why = f" ({measurement.why})" if measurement is not None and measurement.why else ""
        raise UsageError(f"no trial of the front knows its {metric}{why}: choose by another metric")
    pick = max if METRICS[metric].direction == "maximize" else min
    return pick(known, key=lambda trial: trial.values()[metric])


def _numbers(summary: FrontSummary) -> list[int]:
    return [entry.trial.number for entry in summary.entries]


def _objections(trial: TrialRecord, whole: FrontSummary) -> tuple[str, ...]:
    if trial.state == "invalid":
        return (f"has no valid measurement ({'; '.join(trial.outcome.invalid)})",)
    if not trial.is_feasible:
        return (f"breaks {' and '.join(f'`{text}`' for text in trial.broken())}",)
    if trial.number in _numbers(whole):
        return ()
    return ("is not on the confirmed front" if whole.is_confirmed else "is dominated by other trials",)


def _neighbors(result: StudyResult, summary: FrontSummary, trial: TrialRecord) -> tuple[Neighbor, ...]:
    """The ones before and after it on the front, which is ordered by the first objective."""
    numbers = _numbers(summary)
    if trial.number not in numbers:
        return ()
    place = numbers.index(trial.number)
    here = summary.entries[place].trial.values()
    around = [summary.entries[index].trial for index in (place - 1, place + 1) if 0 <= index < len(numbers)]
    metrics = [objective.metric for objective in result.objectives]
    return tuple(
        Neighbor(other.number, {metric: other.values()[metric] - here[metric] for metric in metrics})
        for other in around
    )
