"""Insights: what is found by a look at all trials: importances, the anchor's history, some hypervolumes.

    {"n_trials": those that were looked at,
     "importance": [{"metric", "n_trials", "shares": [{"parameter", "share"}], largest first | null,
                     "why": text | null: why there are no shares}],
     "history": {"at": [finished trials], "values": [number], "is_share": of the box up to the ideal point,
                 "why": text | null: why there is no curve} | null: up to three objectives the page computes it,
     "steadiness": explorer.views.steadiness}

It takes about a second for a large study: it is never part of the snapshot, and nobody waits for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.pareto.front import front_mask
from explorer.pareto.hypervolume import hypervolume, ideal_point
from explorer.study.feasibility import directions_of
from explorer.study.importance import parameter_importance
from explorer.study.result import StudyResult
from explorer.views.page_columns import known
from explorer.views.steadiness import steadiness_info

_IN_PAGE = 3  # objectives of which page/hypervolume.js computes the volume
_N_PLACES = 60  # of the curve
_NO_REFERENCE = "The curve begins with the baseline, which fixes the reference point."


def insights(result: StudyResult) -> dict[str, Any]:
    """What the trials so far say together, JSON-ready."""
    return {
        "n_trials": len(result.trials),
        "importance": [importance.to_json() for importance in parameter_importance(result)],
        "history": _history(result) if len(result.objectives) > _IN_PAGE else None,
        "steadiness": steadiness_info(result).to_json(),
    }


def _history(result: StudyResult) -> dict[str, Any]:
    """The hypervolume after some of the trials, evenly chosen, or why it is not known."""
    if result.reference_point is None or not result.trials:
        return _no_history(_NO_REFERENCE)
    names, directions = [objective.metric for objective in result.objectives], directions_of(result)
    reference = [result.reference_point[name] for name in names]
    # The volume takes time with the square of the front, and with more than five objectives far more than that.
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
    # It never falls; computing it anew may round a last digit down.
    shown = np.maximum.accumulate(values) / (box if box > 0 else 1.0)
    return {
        "at": places.tolist(),
        "values": [known(value) for value in shown.tolist()],
        "is_share": box > 0,
        "why": None,
    }


def _no_history(why: str) -> dict[str, Any]:
    return {"at": [], "values": [], "is_share": False, "why": why}
