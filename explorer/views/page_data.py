"""Page data: the snapshot of a study that the page draws, live and in the report: columnar and JSON-ready.

    {
     "study": {"name", "device", "model", "weights": a sentence or ""},
     "objectives":  [{"metric", "direction"}],
     "constraints": [{"text", "metric", "is_lower_bound", "bound": number in the metric's unit | null: not known yet}],
     "metrics":     [{"name", "title", "unit", "scale" (shown = value · scale), "better", "is_log",
                      "is_counted": exact, neither sampled nor timed, "is_known": by some trial}],
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
     "confirmation": explorer.views.page_confirmation of a confirmed study | null,
     "reasons": {trial number as text: why it failed, is infeasible or invalid},
     "classes": [text] | null
    }

Numbers of trials and bounds have seven digits. A study of more than MAX_PLAIN trials is packed: "is_packed" is true,
the columns and "reasons" have the forms of explorer.views.page_packing, and `unpacked` of page/unpack.js gives the
snapshot above again. Of confirmed finalists, metrics and states are the confirmed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.objectives import Constraint
from explorer.pareto.hypervolume import ideal_point
from explorer.study.extent import n_possible_trials
from explorer.study.result import StudyResult
from explorer.views.infos import axis_directions
from explorer.views.page_columns import (
    Columns,
    Ticks,
    as_cell,
    as_list,
    finite,
    known,
    metric_columns,
    parameter_column,
    parameter_ticks,
    rounded,
    tick_texts,
    trial_columns,
    trial_reasons,
)
from explorer.views.page_confirmation import confirmation_columns, page_confirmation
from explorer.views.page_packing import packed, packed_metric, packed_reasons, packed_times
from explorer.views.sentences import weights_sentence
from explorer.views.shown import Shown, shown_study
from explorer.views.theme import is_wide_span
from explorer.views.wording import metric_title, metric_unit, parameter_title, scale_of

MAX_PLAIN = 2000
"""Trials up to which the snapshot is plain: a megabyte, which people can read."""


def page_data(result: StudyResult, is_packed: bool | None = None, shown: Shown | None = None) -> dict[str, Any]:
    """The snapshot of `result`; packed when that is asked for, by default when there are many trials.

    `shown` is the study as it is shown, to be given by who has it already.
    """
    shown = shown_study(result) if shown is None else shown
    result = shown.result
    is_packed = len(result.trials) > MAX_PLAIN if is_packed is None else is_packed
    metrics = metric_columns(result)
    ticks, reasons, device = parameter_ticks(result), trial_reasons(result), result.space.device
    classes = result.provenance.get("class_names")
    return {
        "is_packed": is_packed,
        "study": {
            "name": result.name,
            "device": device.name,
            "model": result.space.model,
            "weights": weights_sentence(result),
        },
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in result.objectives],
        "constraints": [_constraint(bound, result.baseline_values()) for bound in result.space.constraints],
        "metrics": _metrics(result, metrics),
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
        "trials": _packed_rows(shown, metrics, ticks) if is_packed else _plain_rows(shown, metrics, ticks),
        "confirmation": page_confirmation(shown),
        "reasons": packed_reasons(reasons) if is_packed and reasons else reasons,
        "classes": None if classes is None else [str(name) for name in classes],
    }


def trial_rows(result: StudyResult, first: int) -> dict[str, Any]:
    """The snapshot's "trials", plain, of the trials from position `first` on."""
    shown = shown_study(result)
    return _plain_rows(shown, metric_columns(shown.result, first), parameter_ticks(result), first)


def _plain_rows(
    shown: Shown, metrics: Mapping[str, Columns], ticks: Mapping[str, Ticks], first: int = 0
) -> dict[str, Any]:
    result = shown.result
    confirmed = confirmation_columns(shown, first)
    return {
        **{name: as_list(column) for name, column in trial_columns(result, first).items()},
        "parameters": {name: as_list(parameter_column(result, name, ticks[name], first)) for name in ticks},
        "metrics": {
            name: {end: as_list(rounded(columns[end])) for end in ("value", "low", "high")}
            for name, columns in metrics.items()
        },
        **{name: None if column is None else as_list(column) for name, column in confirmed.items()},
    }


def _packed_rows(shown: Shown, metrics: Mapping[str, Columns], ticks: Mapping[str, Ticks]) -> dict[str, Any]:
    result = shown.result
    columns, confirmed = trial_columns(result), confirmation_columns(shown)
    times = packed_times(columns.pop("finished"))
    return {
        "n": len(result.trials),
        **{name: packed(column) for name, column in columns.items()},
        "finished": times,
        "parameters": {name: packed(parameter_column(result, name, ticks[name])) for name in ticks},
        "metrics": {name: packed_metric(columns) for name, columns in metrics.items()},
        **{name: None if column is None else packed(column) for name, column in confirmed.items()},
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
    """Whether each known value is exact, as explorer.views.compare takes it: without interval and number of samples."""
    is_known = ~np.isnan(columns["value"])
    return bool(is_known.any() and np.isnan(columns["low"]).all() and np.isnan(columns["n"][is_known]).all())


def _ends(column: NDArray[np.float64]) -> list[float]:
    """The smallest and the largest number; nothing when none is known."""
    return [] if np.isnan(column).all() else [float(np.nanmin(column)), float(np.nanmax(column))]


def _constraint(bound: Constraint, baseline: Mapping[str, float]) -> dict[str, Any]:
    is_known = not bound.is_relative or bound.metric in baseline
    return {
        "text": str(bound),
        "metric": bound.metric,
        "is_lower_bound": bound.comparison == ">=",
        "bound": known(bound.limit(baseline)) if is_known else None,
    }
