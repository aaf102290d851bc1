"""Explain infeasibility: when no trial is feasible, the nearest trials and the constraint that most of them break."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from explorer.metrics import METRICS, Constraint
from explorer.study.confirm.confirmed_values import confirmed
from explorer.study.front import FrontView
from explorer.study.result import StudyResult, TrialRecord

_N_NEAREST = 3


def nothing_feasible_message(result: StudyResult, where: Sequence[Constraint] = ()) -> str:
    """Return why no trial satisfies the constraints of the study and of `where`, in a few lines.

    First the constraint that most measured trials break, then the one that excludes more alone; then the trials nearest
    to satisfying all, by their largest violation relative to its bound.
    """
    measured = _broken_trials(result, where)
    misses = [(trial, broken) for trial, broken in measured if broken]
    if not misses:
        states = [trial.state for trial in result.trials]
        invalid = f", {n_invalid} invalid" if (n_invalid := states.count("invalid")) else ""
        unfit = f"{states.count('failed')} failed{invalid}"
        return f"no trial of {len(result.trials)} has a result that could be on the front ({unfit})"
    n_broken = Counter(text for _, broken in misses for text in broken)
    n_alone = Counter(text for _, broken in misses for text in broken if len(broken) == 1)
    binding = max(n_broken, key=lambda text: (n_broken[text], n_alone[text]))
    lines = [
        f"no trial satisfies every constraint: `{binding}` is broken by {n_broken[binding]} of {len(measured)} "
        f"measured trials, {n_alone[binding]} of which break nothing else. Nearest misses:"
    ]
    limits = _limits(result, where)

    def excess(miss: tuple[TrialRecord, Mapping[str, float]]) -> tuple[float, int]:
        """Return the largest violation relative to its bound; inf where a metric is unknown."""
        trial, broken = miss
        return max(amount / abs(limits.get(text) or 1.0) for text, amount in broken.items()), trial.number

    for trial, broken in sorted(misses, key=excess)[:_N_NEAREST]:
        lines.append(
            f"  trial {trial.number}: " + "; ".join(f"`{text}` {_by(text, one)}" for text, one in broken.items())
        )
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
