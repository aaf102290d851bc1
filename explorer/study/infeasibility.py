"""Explain infeasibility: when no trial is feasible, the nearest trials and the constraint that most of them break."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.metrics import METRICS, Constraint
from explorer.study.confirm.confirmed_values import confirmed
from explorer.study.front import FrontView
from explorer.study.result import StudyResult, TrialRecord


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An infeasible trial and the constraints that it breaks.

    `broken` maps constraints' texts to violations in the metric's unit; `excess_ratio` is the largest violation
    relative to its bound, or the violation itself where the bound is 0 or unknown (inf: the metric is unknown).
    """

    trial: TrialRecord
    broken: Mapping[str, float]
    excess_ratio: float


@dataclass(frozen=True, slots=True)
class Binding:
    """A constraint: how many measured trials break it, and how many break no other."""

    constraint: str
    n_broken: int
    n_broken_alone: int
    n_measured: int


def nearest_infeasible(result: StudyResult, k: int = 3, where: Sequence[Constraint] = ()) -> tuple[NearMiss, ...]:
    """Return the `k` measured trials nearest to satisfying the constraints of the study and of `where`.

    The nearest trial has the smallest maximal violation relative to the bounds; ties go to the earlier trial.
    """
    limits = _limits(result, where)
    misses = [
        NearMiss(trial, broken, max(amount / abs(limits.get(text) or 1.0) for text, amount in broken.items()))
        for trial, broken in _broken_trials(result, where)
        if broken
    ]
    return tuple(sorted(misses, key=lambda miss: (miss.excess_ratio, miss.trial.number))[:k])


def binding_constraint(result: StudyResult, where: Sequence[Constraint] = ()) -> Binding | None:
    """Return the constraint that most measured trials break, then the one that excludes more alone. None: all hold."""
    trials = _broken_trials(result, where)
    texts = dict.fromkeys(text for _, broken in trials for text in broken)
    counts = [
        Binding(
            constraint=text,
            n_broken=sum(text in broken for _, broken in trials),
            n_broken_alone=sum(list(broken) == [text] for _, broken in trials),
            n_measured=len(trials),
        )
        for text in texts
    ]
    return max(counts, key=lambda count: (count.n_broken, count.n_broken_alone), default=None)


def nothing_feasible_message(result: StudyResult, where: Sequence[Constraint] = ()) -> str:
    """Return why no trial is feasible, in a few lines: the binding constraint, then the nearest misses."""
    binding = binding_constraint(result, where)
    if binding is None:
        states = [trial.state for trial in result.trials]
        invalid = f", {n_invalid} invalid" if (n_invalid := states.count("invalid")) else ""
        unfit = f"{states.count('failed')} failed{invalid}"
        return f"no trial of {len(result.trials)} has a result that could be on the front ({unfit})"
    lines = [
        f"no trial satisfies every constraint: `{binding.constraint}` is broken by {binding.n_broken} of "
        f"{binding.n_measured} measured trials, {binding.n_broken_alone} of which break nothing else. Nearest misses:"
    ]
    for miss in nearest_infeasible(result, where=where):
        broken = "; ".join(f"`{text}` {_by(text, amount)}" for text, amount in miss.broken.items())
        lines.append(f"  trial {miss.trial.number}: {broken}")
    return "\n".join(lines)


def empty_front_message(result: StudyResult, summary: FrontView) -> str:
    """Return why the front of `summary` is empty, in a few lines."""
    if not summary.is_confirmed:
        return nothing_feasible_message(result, summary.where)
    assert result.confirmation is not None
    finalists = confirmed(result, result.confirmation)
    return "\n".join(
        [
            "no finalist satisfies every constraint with its confirmed values "
            f"(`explore front {result.name} --search` shows what the search measured)",
            nothing_feasible_message(finalists.result, summary.where),
            *(f"  trial {one.trial} is not confirmed: {one.why}" for one in finalists.unconfirmed),
        ]
    )


def _broken_trials(result: StudyResult, where: Sequence[Constraint]) -> list[tuple[TrialRecord, dict[str, float]]]:
    """Return every trial with a valid measurement, and the constraints that it breaks."""
    baseline = result.baseline_values()
    extra = [bound for bound in where if not bound.is_relative or bound.metric in baseline]
    found = []
    for trial in result.trials:
        if trial.state not in ("failed", "invalid"):
            amounts = {str(bound): bound.violation(trial.values(), baseline) for bound in extra}
            broken = {text: amount for text, amount in amounts.items() if amount > 0}
            found.append((trial, {**trial.broken(), **broken}))
    return found


def _limits(result: StudyResult, where: Sequence[Constraint]) -> dict[str, float]:
    """Return each constraint's bound as a number by its text, where known."""
    baseline = result.baseline_values()
    bounds = (*result.space.constraints, *where)
    return {str(bound): bound.limit(baseline) for bound in bounds if not bound.is_relative or bound.metric in baseline}


def _by(text: str, amount: float) -> str:
    metric = METRICS.get(text.split(" ", 1)[0])
    if math.isinf(amount):
        return "cannot be judged, the metric is not known"
    return f"by {amount:.3g}{'' if metric is None or metric.unit in ('ratio', 'count') else ' ' + metric.unit}"
