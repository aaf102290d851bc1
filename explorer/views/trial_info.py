"""Everything about one trial, JSON-ready, as `explore show --json` prints it."""

from __future__ import annotations

from typing import Any

from explorer.study.baseline import guessing_info, warnings
from explorer.study.front import FrontView, ratios
from explorer.study.result import TrialRecord
from explorer.views.measurement import trial_facts


def trial_info(front: FrontView, trial: TrialRecord) -> dict[str, Any]:
    """Return everything about `trial`, one of the search, JSON-ready, as `explore show --json` prints it.

    An unknown violation is None. "confirmed" is None where the trial is not a finalist or the front is not confirmed.
    The baseline also has "guessing", its quality beside that of guessing, and "warnings".
    """
    result, entry, outcome = front.searched, front.entry(trial.number), trial.outcome
    failure = outcome.failure
    guessing = {"guessing": guessing_info(result), "warnings": list(warnings(result))} if trial.number == 0 else {}
    return {
        "study": result.name,
        "trial": trial.number,
        "state": trial.state,
        "feasible": trial.is_feasible,
        "on_front": entry is not None,
        "knee": entry is not None and entry.is_knee,
        "variant": trial.variant.to_json(),
        "metrics": {name: measurement.to_json() for name, measurement in outcome.metrics.items()},
        **guessing,
        "confirmed": confirmed_info(front, trial.number),
        "invalid": list(outcome.invalid),
        "ratio_to_baseline": ratios(trial, result.baseline_values()),
        "violations": {text: None if amount == float("inf") else amount for text, amount in trial.violations.items()},
        "failure": None if failure is None else {"kind": failure.kind, "reason": failure.reason},
        "stages": [{"name": s.name, "seconds": s.seconds, "cached": s.is_cached} for s in outcome.stages],
        "seconds": trial.finished - trial.started,
        "artifact": outcome.artifact,
        "details": trial_facts(outcome),
        "provenance": dict(result.provenance),
    }


def confirmed_info(front: FrontView, number: int) -> dict[str, Any] | None:
    """Return the confirmation of a finalist, JSON-ready; None for other trials.

    Without confirmed values "metrics" is None and "why" the reason.
    """
    standing = front.standings.get(number)
    if standing is None:
        return None
    trial = front.result.trial(number) if number in front.confirmed else None
    test = standing.test_accuracy
    return {
        "rounds": front.n_rounds,
        "feasible": trial is not None and trial.is_feasible,
        "metrics": None if trial is None else {name: one.to_json() for name, one in trial.outcome.metrics.items()},
        "probability": standing.probability,
        "near": standing.is_near,
        "ties": list(standing.ties),
        "test_accuracy": None if test is None else test.to_json(),
        "why": standing.why or None,
    }
