"""The snapshot of a study that the page draws, live and in the report: columnar and JSON-ready.

    {
     "study": {"name", "device", "model", "weights", "baseline": a sentence or "", "warnings": [sentence]},
     "objectives":  [{"metric", "direction"}],
     "constraints": [{"text", "metric", "is_lower_bound", "bound": number in the metric's unit | null: not known yet}],
     "metrics":     [{"name", "title", "unit", "scale" (shown = value · scale), "better", "is_log",
                      "is_counted": exact, neither sampled nor timed, "is_known": by some trial}],
     "quality":     [the names of the quality metrics, the main one first],
     "usual":       {"x", "y", "color": "" for none: with which the study is first drawn,
                     "metrics": [name]: what every view shows beside the objectives},
     "parameters":  [{"name", "title", "ticks": [text] (values are places in it) | null (values are numbers)}],
     "space":       [{"name", "fixed": its one value | null: it is among "parameters"}],     every parameter, in order
     "prices":      {"hardware_usd_per_hour", "memory_usd_per_gib_hour", "other_usd_per_million"},
     "reference_point": {metric: number} | null,  "ideal_point": {metric: number} | null,
     "n_trials": those that the study can have,
     "trials": {                                columns of one length, in the order in which the trials finished
        "number": [int], "state": [0 complete | 1 infeasible | 2 failed | 3 invalid], "seconds", "finished": [Unix s],
        "is_cached": [0 | 1], "batch_size": [int],
        "parameters": {name: [number]}, "metrics": {name: {"value", "low", "high": [number | null]}},
        "membership": [probability of being on the front | null], "confirmed": [0 | 1]     null: nothing is confirmed
     },
     "confirmation": explorer.views.page.data of a confirmed study | null,
     "reasons": {trial number as text: why it failed, is infeasible or invalid}
    }

Numbers of trials and bounds have seven significant digits. A study of more than MAX_PLAIN trials is packed: "is_packed"
is true, the columns and "reasons" have the forms of explorer.views.page.columns, and `unpacked` of page/unpack.js
restores the snapshot above. Confirmed finalists have confirmed metrics and states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.metrics import Constraint, ideal_point
from explorer.study.baseline import warnings
from explorer.study.front import FrontView
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.vocabulary import n_possible_trials
from explorer.views.formatting import (
    MAX_SENTENCE,
    baseline_said,
    metric_title,
    metric_unit,
    one_line,
    parameter_title,
    scale_of,
    usual_metrics,
    weights_sentence,
)
from explorer.views.page.columns import (
    STATES,
    Columns,
    Ticks,
    as_cell,
    as_list,
    finite,
    known,
    metric_columns,
    packed,
    packed_metric,
    packed_reasons,
    packed_times,
    parameter_column,
    parameter_ticks,
    rounded,
    tick_texts,
    trial_columns,
    trial_reasons,
)
from explorer.views.points import axis_directions, is_wide_span, usual_axes


def confirmation_columns(front: FrontView, first: int = 0) -> dict[str, NDArray[Any] | None]:
    """Return "membership" [n], NaN where unknown, and "confirmed" [n], 0 or 1, of the trials from position `first` on.

    Both are None without a confirmation.
    """
    if not front.is_confirmed:
        return {"membership": None, "confirmed": None}
    numbers = [trial.number for trial in front.result.trials[first:]]
    sure = [front.standings[n].probability if n in front.standings else None for n in numbers]
    return {
        "membership": rounded(sure),
        "confirmed": np.array([n in front.confirmed for n in numbers], dtype=np.int64),
    }


def page_confirmation(front: FrontView) -> dict[str, Any] | None:
    """Return the confirmation, JSON-ready; None where there is none.

    {"is_stale": it is of other trials; the other keys are then missing,
     "n_rounds", "left_out": [trials that may belong to the front and were not measured again],
     "near": [finalists off the front that may belong to it], "ties": {trial: [trials]}, "why": {trial: not confirmed},
     "test_accuracies": {trial: [value, low, high]},
     "searched": {trial: {"state", "metrics": {name: [value, low, high]}}}}: the search's values of confirmed finalists
    """
    if front.searched.confirmation is None:
        return None
    if not front.is_confirmed:
        return {"is_stale": True}
    standings = front.standings.items()
    searched = [trial for trial in front.searched.trials if trial.number in front.confirmed]
    tests = {number: one.test_accuracy for number, one in standings}
    return {
        "is_stale": False,
        "n_rounds": front.n_rounds,
        "left_out": list(front.left_out),
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


MAX_PLAIN = 2000
"""Number of trials up to which the snapshot is plain JSON of about a megabyte."""


def page_data(front: FrontView, is_packed: bool | None = None) -> dict[str, Any]:
    """Return the snapshot of a study, packed by default if it has more than MAX_PLAIN trials."""
    result = front.result
    is_packed = len(result.trials) > MAX_PLAIN if is_packed is None else is_packed
    metrics, ticks = metric_columns(result), parameter_ticks(result)
    reasons, device = trial_reasons(result), result.space.device
    x, y, color = usual_axes(result)
    return {
        "is_packed": is_packed,
        "study": {
            "name": result.name,
            "device": device.name,
            "model": result.space.model,
            "weights": weights_sentence(result),
            "baseline": baseline_said(result),
            "warnings": [one_line(warning, MAX_SENTENCE) for warning in warnings(result)],
        },
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in result.objectives],
        "constraints": [_constraint(bound, result.baseline_values()) for bound in result.space.constraints],
        "metrics": _metrics(result, metrics),
        "quality": [metric.name for metric in result.task.metrics],
        "usual": {"x": x, "y": y, "color": color or "", "metrics": list(usual_metrics(result))},
        "parameters": [
            {"name": name, "title": parameter_title(name), "ticks": tick_texts(values)}
            for name, values in ticks.items()
        ],
        "space": [
            {"name": name, "fixed": None if name in ticks else as_cell(parameter.values[0])}
            for name, parameter in result.space.parameters.items()
        ],
        "prices": {
            "hardware_usd_per_hour": device.hardware_usd_per_hour,
            "memory_usd_per_gib_hour": device.memory_usd_per_gib_hour,
            "other_usd_per_million": device.other_usd_per_million,
        },
        "reference_point": finite(result.reference_point),
        "ideal_point": finite(ideal_point(result.objectives)),
        "n_trials": n_possible_trials(result.space),
        "trials": _rows(front, metrics, ticks, is_packed),
        "confirmation": page_confirmation(front),
        "reasons": packed_reasons(reasons) if is_packed and reasons else reasons,
    }


def trial_rows(front: FrontView, first: int) -> dict[str, Any]:
    """Return the plain "trials" of the snapshot for the trials from position `first` on."""
    return _rows(front, metric_columns(front.result, first), parameter_ticks(front.result), first=first)


def _rows(
    front: FrontView,
    metrics: Mapping[str, Columns],
    ticks: Mapping[str, Ticks],
    is_packed: bool = False,
    first: int = 0,
) -> dict[str, Any]:
    result, form = front.result, packed if is_packed else as_list
    columns, standing = trial_columns(result, first), confirmation_columns(front, first)
    return {
        **({"n": len(result.trials)} if is_packed else {}),
        **{name: form(column) for name, column in columns.items()},
        **({"finished": packed_times(columns["finished"])} if is_packed else {}),
        "parameters": {name: form(parameter_column(result, name, ticks[name], first)) for name in ticks},
        "metrics": {
            name: packed_metric(metric)
            if is_packed
            else {end: as_list(rounded(metric[end])) for end in ("value", "low", "high")}
            for name, metric in metrics.items()
        },
        **{name: None if column is None else form(column) for name, column in standing.items()},
    }


def _metrics(result: StudyResult, metrics: Mapping[str, Columns]) -> list[dict[str, Any]]:
    directions = axis_directions(result)
    return [
        {
            "name": name,
            "title": metric_title(name),
            "unit": metric_unit(name),
            "scale": scale_of(name),
            "better": directions[name],
            "is_log": is_wide_span(_ends(columns["value"])),
            "is_counted": _is_counted(columns),
            "is_known": not bool(np.isnan(columns["value"]).all()),
        }
        for name, columns in metrics.items()
    ]


def _is_counted(columns: Columns) -> bool:
    """Return whether each known value is exact: without interval and number of samples, as in compare.py."""
    is_known = ~np.isnan(columns["value"])
    return bool(is_known.any() and np.isnan(columns["low"]).all() and np.isnan(columns["n"][is_known]).all())


def _ends(column: NDArray[np.float64]) -> list[float]:
    """Return the smallest and the largest number; empty when none is known."""
    return [] if np.isnan(column).all() else [float(np.nanmin(column)), float(np.nanmax(column))]


def _constraint(bound: Constraint, baseline: Mapping[str, float]) -> dict[str, Any]:
    is_known = not bound.is_relative or bound.metric in baseline
    return {
        "text": str(bound),
        "metric": bound.metric,
        "is_lower_bound": bound.comparison == ">=",
        "bound": known(bound.limit(baseline)) if is_known else None,
    }
