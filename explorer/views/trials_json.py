"""The trials as JSON, one object a trial, with metrics and intervals as `explore front --json` has them."""

from __future__ import annotations

from typing import Any

from explorer.study.result import StudyResult


def trials_json(result: StudyResult) -> dict[str, Any]:
    """Every trial by number, JSON-ready."""
    return {
        "study": result.name,
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in result.objectives],
        "trials": [
            {
                "trial": trial.number,
                "state": trial.state,
                "feasible": trial.is_feasible,
                "variant": trial.variant.to_json(),
                "metrics": {name: measured.to_json() for name, measured in trial.outcome.metrics.items()},
                "failure": trial.outcome.failure and trial.outcome.failure.reason,
                "artifact": trial.outcome.artifact,
            }
            for trial in sorted(result.trials, key=lambda trial: trial.number)
        ],
    }
