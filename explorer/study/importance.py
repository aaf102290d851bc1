"""Parameter importance: how much each parameter decides about the best values of each objective.

PED-ANOVA (Watanabe, Bansal & Hutter 2023) in Optuna's implementation: it compares where the best tenth of the trials
lies in a parameter with where all of them lie. It is deterministic. Trials that only break a constraint count; failed
and invalid ones do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.metrics import Objective
from explorer.space.values import Parameter
from explorer.study.result import StudyResult, TrialRecord

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

MIN_TRIALS = 20
"""Fewer trials do not show where the best ones lie."""

_MAX_TRIALS = 3000  # evenly chosen ones: more change nothing in the second digit, and cost seconds
_BEST_SHARE, _MIN_BEST = 0.1, 5  # Optuna's documentation asks for at least 5 trials among the best


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of each parameter for one objective, as shares that add up to 1, largest first.

    `shares` is None where unknown, with the reason `why`. `n_trials` is the number of trials used.
    """

    metric: str
    shares: Mapping[str, float] | None
    n_trials: int
    why: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        shares = None if self.shares is None else [{"parameter": n, "share": s} for n, s in self.shares.items()]
        return {"metric": self.metric, "shares": shares, "n_trials": self.n_trials, "why": self.why}


def parameter_importance(result: StudyResult) -> tuple[Importance, ...]:
    """Return the importance of all parameters with more than one value, for each objective."""
    parameters = [parameter for parameter in result.space.parameters.values() if not parameter.is_fixed]
    names = [objective.metric for objective in result.objectives]
    valid = [trial for trial in result.trials if trial.state in ("complete", "infeasible")]
    known = [trial for trial in valid if _is_usable(trial, names, parameters)]
    chosen = [known[i * len(known) // _MAX_TRIALS] for i in range(_MAX_TRIALS)] if len(known) > _MAX_TRIALS else known
    if not parameters or len(chosen) < MIN_TRIALS:
        why = (
            "the search space has no parameter with a choice"
            if not parameters
            else f"it takes {MIN_TRIALS} measured trials to tell, and there are {len(chosen)}"
        )
        return tuple(Importance(name, None, len(chosen), why) for name in names)
    return tuple(_importance(objective, parameters, chosen) for objective in result.objectives)


def _is_usable(trial: TrialRecord, metrics: Sequence[str], parameters: Sequence[Parameter]) -> bool:
    """Return whether the trial has all objectives and its variant is in the space."""
    values = trial.values()
    return all(name in values for name in metrics) and all(
        trial.variant[parameter.name] in parameter.values for parameter in parameters
    )


def _importance(objective: Objective, parameters: Sequence[Parameter], trials: Sequence[TrialRecord]) -> Importance:
    from optuna.importance import PedAnovaImportanceEvaluator

    metric, n = objective.metric, len(trials)
    best_share = max(_BEST_SHARE, _MIN_BEST / n)
    ordered = sorted((trial.values()[metric] for trial in trials), reverse=objective.direction == "maximize")
    if ordered[0] == ordered[-1]:
        return Importance(metric, None, n, "every trial has the same value")
    # Ties with the worst of the best are among the best: here that would be every trial.
    is_everyone_best = ordered[math.ceil(best_share * n) - 1] == ordered[-1]
    evaluator = PedAnovaImportanceEvaluator(target_quantile=best_share)
    names = [parameter.name for parameter in parameters]
    raw = {} if is_everyone_best else evaluator.evaluate(_study(objective, parameters, trials), params=names)
    total = sum(raw.values())
    if total <= 0:
        return Importance(metric, None, n, "the best trials lie where all trials lie")
    largest_first = sorted(raw.items(), key=lambda item: (-item[1], item[0]))
    return Importance(metric, {name: float(value / total) for name, value in largest_first}, n)


def _study(objective: Objective, parameters: Sequence[Parameter], trials: Sequence[TrialRecord]) -> Study:
    """Return the trials as an Optuna study in memory. Numbers are indices into the parameter's sorted values."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=objective.direction)
    levels = {p.name: sorted(p.values) if p.is_ordered else list(p.values) for p in parameters}
    distributions: dict[str, BaseDistribution] = {
        p.name: (
            optuna.distributions.IntDistribution(0, len(p.values) - 1)
            if p.is_ordered
            else optuna.distributions.CategoricalDistribution([str(place) for place in range(len(p.values))])
        )
        for p in parameters
    }
    study.add_trials(
        optuna.trial.create_trial(
            params={
                p.name: place if p.is_ordered else str(place)
                for p in parameters
                for place in (levels[p.name].index(trial.variant[p.name]),)
            },
            distributions=distributions,
            value=trial.values()[objective.metric],
        )
        for trial in trials
    )
    return study
