"""The confirmation as the page has it: columns of the trials, and what it says of each finalist."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.study.result import TrialRecord
from explorer.views.page_columns import STATES, known, rounded
from explorer.views.shown import Shown
from explorer.views.wording import one_line


def confirmation_columns(shown: Shown, first: int = 0) -> dict[str, NDArray[Any] | None]:
    """Of the trials from position `first` on: "membership", NaN where it is not known, and "confirmed", 0 or 1.

    Both are None where nothing is confirmed.
    """
    if not shown.is_confirmed:
        return {"membership": None, "confirmed": None}
    numbers = [trial.number for trial in shown.result.trials[first:]]
    sure = [shown.standings[n].probability if n in shown.standings else None for n in numbers]
    return {
        "membership": rounded(sure),
        "confirmed": np.array([n in shown.confirmed for n in numbers], dtype=np.int64),
    }


def page_confirmation(shown: Shown) -> dict[str, Any] | None:
    """What the confirmation says, JSON-ready; None where there is none.

    {"is_stale": it is of other trials, and nothing else is said,
     "n_rounds", "left_out": [trials that are as possible, and too many],
     "near": [finalists off the front that may belong to it], "ties": {trial: [trials]}, "why": {trial: not confirmed},
     "test_accuracies": {trial: [value, low, high]},
     "searched": {trial: {"state", "metrics": {name: [value, low, high]}}}}: the search's values of confirmed finalists
    """
    confirmation = shown.searched.confirmation
    if confirmation is None:
        return None
    if not shown.is_confirmed:
        return {"is_stale": True}
    standings = shown.standings.items()
    searched = [trial for trial in shown.searched.trials if trial.number in shown.confirmed]
    tests = {number: one.test_accuracy for number, one in standings}
    return {
        "is_stale": False,
        "n_rounds": shown.n_rounds,
        "left_out": list(confirmation.left_out),
        "near": [number for number, one in standings if one.is_near],
        "ties": {str(number): list(one.ties) for number, one in standings if one.ties},
        "why": {str(number): one_line(one.why, 400) for number, one in standings if one.why},
        "test_accuracies": {
            str(number): [known(test.value), known(test.low), known(test.high)]
            for number, test in tests.items()
            if test is not None and test.value is not None
        },
        "searched": {str(trial.number): _searched(trial) for trial in searched},
    }


def _searched(trial: TrialRecord) -> dict[str, Any]:
    metrics = trial.outcome.metrics.items()
    return {
        "state": STATES[trial.state],
        "metrics": {name: [known(one.value), known(one.low), known(one.high)] for name, one in metrics},
    }
