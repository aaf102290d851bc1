"""Insights: results that need all trials: parameter importance, the machine's stability, some hypervolumes.

    {"n_trials": the number of trials,
     "importance": [{"metric", "n_trials", "shares": [{"parameter", "share"}], largest first | null,
                     "why": text | null: why there are no shares}],
     "history": {"at": [finished trials], "values": [number], "is_share": of the box up to the ideal point,
                 "why": text | null: why there is no curve} | null: up to three objectives the page computes it,
     "steadiness": {"sentence", "readings": [{"trial", "round": 0 in the search, "slowness": the median of the
                    anchor's times over its quiet level and the share of its core that the thread had, above 1 where
                    the core was slower, "spread": the standard deviation of its
                    slices' medians as a ratio, "quiet_ratio": the share of quiet slices, "is_invalid"}]: up to 600
                    evenly spaced, and 600 invalid ones}}

They take about a second for a large study and are not part of the snapshot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.metrics import ideal_point
from explorer.observation import Anchor
from explorer.pareto.front import front_mask
from explorer.pareto.hypervolume import hypervolume
from explorer.study.feasibility import directions_of
from explorer.study.importance import parameter_importance
from explorer.study.result import StudyResult
from explorer.views.page.columns import known

_IN_PAGE = 3  # objectives of which page/hypervolume.js computes the volume
_N_PLACES = 60  # of the curve
_MAX_READINGS = 600
_NO_REFERENCE = "The curve begins with the baseline, which fixes the reference point."


def insights(result: StudyResult) -> dict[str, Any]:
    """Return the insights of the trials so far, JSON-ready."""
    return {
        "n_trials": len(result.trials),
        "importance": [importance.to_json() for importance in parameter_importance(result)],
        "history": _history(result) if len(result.objectives) > _IN_PAGE else None,
        "steadiness": machine_stability(result),
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


Reading = tuple[int, int, Anchor, bool]
"""A measurement: its trial, its round (0 in the search), its anchor, and whether it is invalid."""


def machine_stability(result: StudyResult) -> dict[str, Any]:
    """Return the anchor's times in the trials and the rounds of the confirmation, and a sentence that sums them up."""
    found = _readings(result)
    chosen = set(np.linspace(0, len(found) - 1, _MAX_READINGS).round().astype(int).tolist())
    chosen |= set([place for place, (*_, is_invalid) in enumerate(found) if is_invalid][:_MAX_READINGS])
    return {
        "sentence": _stability_sentence(found) if found else "Not known: no trial was measured.",
        "readings": [
            {
                "trial": trial,
                "round": number,
                "slowness": known(anchor.slowness),
                "spread": known(anchor.dispersion),
                "quiet_ratio": anchor.quiet_ratio,
                "is_invalid": is_invalid,
            }
            for place, (trial, number, anchor, is_invalid) in enumerate(found)
            if place in chosen
        ],
    }


def _readings(result: StudyResult) -> list[Reading]:
    """Return the measurements with an anchor, in chronological order."""
    searched = [(trial.number, trial.outcome.observation, trial.outcome.reasons) for trial in result.trials]
    found = [(trial, 0, one.anchor, bool(reasons)) for trial, one, reasons in searched if one is not None]
    rounds = () if result.confirmation is None else result.confirmation.rounds
    for number, repeats in enumerate(rounds, 1):
        found += [(one.trial, number, one.anchor, bool(one.reasons)) for one in repeats if one.anchor is not None]
    return found


def _stability_sentence(readings: list[Reading]) -> str:
    """State how often the core was quiet in the valid measurements, and how slow it was otherwise."""
    valid = [anchor for *_, anchor, is_invalid in readings if not is_invalid]
    n_invalid = len(readings) - len(valid)
    doubtful = {0: "", 1: " One measurement is not valid."}.get(n_invalid, f" {n_invalid} measurements are not valid.")
    if len(valid) < 2:
        return f"One measurement does not tell how steady the core was.{doubtful}"
    n_rounds = len({number for _, number, *_ in readings} - {0})
    rounds = f", those of {n_rounds} confirmation rounds included" if n_rounds else ""
    quiet = float(np.mean([anchor.quiet_ratio for anchor in valid]))
    slowest = 100 * (max(anchor.slowness for anchor in valid) - 1)
    return (
        f"The core was quiet for {100 * quiet:.0f} % of the time ({len(readings)} measurements{rounds}). In its "
        f"slowest measurement half of the slices were at least {slowest:.0f} % slower. Latencies are those of its "
        f"quiet state.{doubtful}"
    )
