"""Selection of the exported trial: by number, as the knee, or as the best of a metric; its neighbors on the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.errors import NothingFeasible, UsageError
from explorer.metrics import METRICS, Constraint
from explorer.records import Measurement
from explorer.study.front import FrontEntry, FrontView, front_view
from explorer.study.infeasibility import empty_front_message
from explorer.study.result import StudyResult, TrialRecord


@dataclass(frozen=True, slots=True)
class Selection:
    """The requested trial: exactly one of its number, the knee, and the best of a metric.

    Raises UsageError for any other combination.
    """

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
    """The confirmed values of a trial: medians over `n_rounds` rounds; probability and ties as in FrontEntry.

    `test_quality`, the main metric's on the test split, is None where the confirmation does not have it.
    """

    n_rounds: int
    metrics: Mapping[str, Measurement]
    probability: float | None
    ties: tuple[int, ...]
    test_quality: Measurement | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen trial, how it was chosen, in words, and its neighbors on the front in the first objective.

    `objections` are the reasons against it: it is invalid, infeasible, or dominated. `confirmed` is None where it was
    not confirmed. `front` is that of the study's own constraints.
    """

    trial: TrialRecord
    how: str
    front: FrontView
    is_on_front: bool
    objections: tuple[str, ...]
    neighbors: tuple[Neighbor, ...]
    confirmed: ConfirmedValues | None = None


def choose(result: StudyResult, selection: Selection, is_forced: bool = False) -> Choice:
    """Return the trial that `selection` names, with the values of the search.

    Knee and best of a confirmed study are chosen by confirmed values, among trials that probably are on the front.
    These come from the validation images; the test split influences no choice. Raises NothingFeasible with the nearest
    misses; UsageError when there is no such trial, when it failed, or when it has objections and `is_forced` is False.
    """
    whole = front_view(result)
    trial, how = (
        _numbered(result, selection.trial)
        if selection.trial is not None
        else _of_front(result, whole.within(selection.where) if selection.where else whole, selection)
    )
    is_on_front = trial.number in whole.numbers
    objections = _objections(trial, whole)
    if selection.trial is not None and objections and not is_forced:
        raise UsageError(
            f"trial {trial.number} {' and '.join(objections)}: choose another (`explore front {result.name}`), or add "
            "--force to export it all the same, with that said in its manifest"
        )
    neighbors, again = _neighbors(result, whole, trial), _confirmed_values(whole, trial.number)
    return Choice(trial, how, whole, is_on_front, objections, neighbors, again)


def _confirmed_values(whole: FrontView, number: int) -> ConfirmedValues | None:
    """Return the confirmed values of a trial; None where the front is not confirmed, or the trial is not."""
    found = whole.result.trial(number) if number in whole.confirmed else None
    if found is None:
        return None
    standing = whole.standings[number]
    return ConfirmedValues(
        n_rounds=whole.n_rounds,
        metrics=found.outcome.metrics,
        probability=standing.probability,
        ties=standing.ties,
        test_quality=standing.test_accuracy,
    )


def _numbered(result: StudyResult, number: int) -> tuple[TrialRecord, str]:
    trial = result.trial(number)
    if trial is None:
        raise UsageError(f"no finished trial {number} in {result.name}: `explore front {result.name}` lists its front")
    if trial.outcome.failure is not None or trial.outcome.artifact is None:
        why = trial.outcome.failure.reason if trial.outcome.failure else "it has no artifact"
        raise UsageError(f"trial {number} failed ({why}), so there is nothing to export: choose another")
    return trial, f"trial {number}, by its number"


def _of_front(result: StudyResult, summary: FrontView, selection: Selection) -> tuple[TrialRecord, str]:
    if not summary.entries:
        raise NothingFeasible(empty_front_message(result, summary))
    limits = "".join(f"{' and' if i else ' where'} {bound}" for i, bound in enumerate(selection.where))
    front = "confirmed front" if summary.is_confirmed else "front"
    if selection.best is None:
        assert summary.knee is not None
        return _searched(result, summary.knee.trial), f"the knee of the {front}{limits}"
    return _searched(
        result, _best(summary.eligible, selection.best)
    ), f"the best {selection.best} of the {front}{limits}"


def _searched(result: StudyResult, trial: TrialRecord) -> TrialRecord:
    """Return the trial as the search measured it: the exported samples are of that measurement."""
    found = result.trial(trial.number)
    assert found is not None
    return found


def _best(entries: Sequence[FrontEntry], metric: str) -> TrialRecord:
    """Return the best trial in `metric`, the first of equal ones. Raises UsageError when no trial has the metric."""
    known = [entry.trial for entry in entries if metric in entry.trial.values()]
    if not known:
        measurement = entries[0].trial.outcome.metrics.get(metric)
        why = f" ({measurement.why})" if measurement is not None and measurement.why else ""
        raise UsageError(f"no trial of the front knows its {metric}{why}: choose by another metric")
    pick = max if METRICS[metric].direction == "maximize" else min
    return pick(known, key=lambda trial: trial.values()[metric])


def _objections(trial: TrialRecord, whole: FrontView) -> tuple[str, ...]:
    if trial.state == "invalid":
        return (f"has no valid measurement ({'; '.join(trial.outcome.invalid)})",)
    if not trial.is_feasible:
        return (f"breaks {' and '.join(f'`{text}`' for text in trial.broken())}",)
    if trial.number in whole.numbers:
        return ()
    return ("is not on the confirmed front" if whole.is_confirmed else "is dominated by other trials",)


def _neighbors(result: StudyResult, summary: FrontView, trial: TrialRecord) -> tuple[Neighbor, ...]:
    """Return the trials before and after it on the front, which is ordered by the first objective."""
    numbers = summary.numbers
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
