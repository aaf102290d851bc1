"""Insights: results that need all trials: parameter importance, the machine's stability, some hypervolumes.

    {"n_trials": the number of trials,
     "importance": [{"metric", "n_trials", "shares": [{"parameter", "share"}], largest first | null,
                     "why": text | null: why there are no shares}],
     "history": {"at": [finished trials], "values": [number], "is_share": of the box up to the ideal point,
                 "why": text | null: why there is no curve} | null: up to three objectives the page computes it,
     "steadiness": explorer.views.machine_stability}

They take about a second for a large study and are not part of the snapshot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.metrics import ideal_point
from explorer.pareto.front import front_mask
from explorer.pareto.hypervolume import hypervolume
from explorer.study.feasibility import directions_of
from explorer.study.importance import parameter_importance
from explorer.study.result import StudyResult
from explorer.views.machine_stability import stability_info
from explorer.views.page.columns import known

_IN_PAGE = 3  # objectives of which page/hypervolume.js computes the volume
_N_PLACES = 60  # of the curve
_NO_REFERENCE = "The curve begins with the baseline, which fixes the reference point."


def insights(result: StudyResult) -> dict[str, Any]:
    """Return the insights of the trials so far, JSON-ready."""
    return {
        "n_trials": len(result.trials),
        "importance": [importance.to_json() for importance in parameter_importance(result)],
        "history": _history(result) if len(result.objectives) > _IN_PAGE else None,
        "steadiness": stability_info(result).to_json(),
    }


def _history(result: StudyResult) -> dict[str, Any]:
    """Return the hypervolume after up to 60 evenly spaced trials, or the reason why it is not known."""
    if result.reference_point is None or not result.trials:
        return _no_history(_NO_REFERENCE)
    names, directions = [objective.metric for objective in result.objectives], directions_of(result)
    reference = [result.reference_point[name] for name in names]
    # The time is quadratic in the front, and more than that with more than five objectives.
    most = 2000 if len(names) <= 5 else 200
    places = np.unique(np.linspace(1, len(result.trials), min(len(result.trials), _N_PLACES)).round().astype(int))
    front, values = np.empty((0, len(names))), []
    for start, place in zip([0, *places], places, strict=False):
        found = [trial.values() for trial in result.trials[start:place] if trial.is_feasible]
        fresh = [[one[name] for name in names] for one in found if all(name in one for name in names)]
        points = np.vstack([front, np.reshape(fresh, (-1, len(names)))])
        front = points[front_mask(points, directions)]
        if len(front) > most:
            return _no_history(f"With {len(names)} objectives and a front of {len(front):,} it would take minutes.")
        values.append(hypervolume(front, directions, reference))
    ideal = ideal_point(result.objectives)
    box = 0.0 if ideal is None else hypervolume([[ideal[name] for name in names]], directions, reference)
    # It never falls; rounding may change the last digit.
    shown = np.maximum.accumulate(values) / (box if box > 0 else 1.0)
    return {
        "at": places.tolist(),
        "values": [known(value) for value in shown.tolist()],
        "is_share": box > 0,
        "why": None,
    }


def _no_history(why: str) -> dict[str, Any]:
    return {"at": [], "values": [], "is_share": False, "why": why}
