"""Columns of trials for the page: numbers with seven digits, what is not known as null, states and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.records import Metrics
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.rows import varying_parameters
from explorer.views.wording import one_line, parameter_text

# Enough to tell any two measurements apart, and about half the bytes of a float in full.
DIGITS = 7
STATES = {"complete": 0, "infeasible": 1, "failed": 2, "invalid": 3}
_POWERS = np.array([float(f"1e{power}") for power in range(23)])  # exact, as a float is up to 10^22
# What a trial always does anew, whatever the caches hold.
_FRESH_STAGES = ("store", "measure")

Columns = dict[str, NDArray[Any]]
Ticks = tuple[Any, ...] | None
"""The values of a parameter that is not all numbers, in order; None for one that is."""


def finite_numbers(values: Sequence[float | None] | NDArray[Any]) -> NDArray[np.float64]:
    """`values` [n]; None, NaN and infinities become NaN."""
    array = np.array(values, dtype=np.float64)  # None becomes NaN
    array[np.isinf(array)] = np.nan
    return array


def rounded(values: Sequence[float | None] | NDArray[Any]) -> NDArray[np.float64]:
    """`values` [n] with seven significant digits; None, NaN and infinities become NaN."""
    array = finite_numbers(values)
    exponent = np.zeros(array.shape, dtype=np.int64)
    is_known = np.isfinite(array) & (array != 0)
    exponent[is_known] = np.floor(np.log10(np.abs(array[is_known])))
    decimals = DIGITS - 1 - exponent
    is_usual = is_known & (np.abs(decimals) < len(_POWERS))
    up, down = _POWERS[np.maximum(decimals, 0)[is_usual]], _POWERS[np.maximum(-decimals, 0)[is_usual]]
    # Dividing a whole number by an exact power of ten gives the float that is nearest to the decimal.
    array[is_usual] = np.rint(array[is_usual] * up / down) / up * down
    return array


def known(value: float | None) -> float | None:
    """One number as the page may have it: rounded; None for what is not known, NaN or infinite."""
    if value is None:
        return None
    number = float(rounded([value])[0])
    return None if np.isnan(number) else number


def as_list(column: NDArray[Any]) -> list[Any]:
    """A column as JSON-ready numbers, NaN as None."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f" and np.isnan(column).any():
        return [None if value != value else value for value in values]
    return values


def trial_columns(result: StudyResult, first: int = 0) -> Columns:
    """What the page needs of the trials from position `first` on, besides parameters and metrics."""
    trials = result.trials[first:]
    started = np.array([trial.started for trial in trials], dtype=np.float64)
    finished = np.array([trial.finished for trial in trials], dtype=np.float64)
    return {
        "number": np.array([trial.number for trial in trials], dtype=np.int64),
        "state": np.array([STATES[trial.state] for trial in trials], dtype=np.int64),
        "seconds": rounded(finished - started),
        "finished": np.round(finished, 3),
        "is_cached": np.array([is_from_cache(trial) for trial in trials], dtype=np.int64),
        "batch_size": np.array([trial.outcome.variant.batch_size for trial in trials], dtype=np.int64),
    }


def metric_columns(result: StudyResult, first: int = 0) -> dict[str, Columns]:
    """Value (rounded), low and high (in full) and n of every metric of the result, in its order; NaN where not known.

    The ends are rounded where they are written, since packing keeps only their distance from the value.
    """
    names = result.metric_names()
    place = {name: index for index, name in enumerate(names)}
    metrics = [Metrics.of(trial.outcome.metrics) for trial in result.trials[first:]]
    table = np.full((len(metrics), len(names), len(Metrics.ENDS)), np.nan)
    row = 0
    for fields, group in groupby(metrics, key=attrgetter("fields")):
        numbers = [one.numbers.tobytes() for one in group]
        rows = slice(row, row := row + len(numbers))
        block = np.frombuffer(b"".join(numbers)).reshape(len(numbers), len(fields))
        table[rows, [place[name] for name, _ in fields], [end for _, end in fields]] = block
    return {
        name: {"value": rounded(value), "low": low, "high": high, "n": n}
        for name, (value, low, high, n) in zip(names, finite_numbers(table).transpose(1, 2, 0), strict=True)
    }


def parameter_ticks(result: StudyResult) -> dict[str, Ticks]:
    """Each varying parameter's values where some are no numbers, in the space's order; None where all are numbers."""
    baseline, varying = result.space.baseline(), varying_parameters(result.space)
    variants = [trial.outcome.variant for trial in result.trials]
    ticks: dict[str, Ticks] = {}
    for name, parameter in result.space.parameters.items():
        # Forked trials may have values that the space no longer offers.
        tried = dict.fromkeys(map(attrgetter(name), variants))
        if name not in varying and set(tried) <= set(parameter.values):
            continue
        values = tuple(dict.fromkeys([*parameter.values, getattr(baseline, name), *tried]))
        ticks[name] = None if all(isinstance(value, int | float) for value in values) else values
    return ticks


def parameter_column(result: StudyResult, name: str, ticks: Ticks, first: int = 0) -> NDArray[Any]:
    """One parameter: its numbers, or their places in `ticks`."""
    values = list(map(attrgetter(f"outcome.variant.{name}"), result.trials[first:]))
    if ticks is None:
        return np.array(values, dtype=None if values else np.float64)
    place = {value: index for index, value in enumerate(ticks)}
    return np.array([place[value] for value in values], dtype=np.int64)


def as_cell(value: Any) -> float | str:
    """A parameter's value for a table: a number as it is, else words."""
    return value if isinstance(value, int | float) else one_line(parameter_text(value))


def tick_texts(ticks: Ticks) -> list[str] | None:
    """A parameter's values in words."""
    return None if ticks is None else [one_line(parameter_text(value)) for value in ticks]


def trial_reasons(result: StudyResult, first: int = 0) -> dict[str, str]:
    """Why trials from position `first` on failed or are infeasible, by number: plain text of one line."""
    lines: dict[str, str] = {}  # a text repeats; cleaning it again would be most of the work
    reasons = {}
    for trial in result.trials[first:]:
        if trial.state != "complete":
            text = _reason(trial)
            if text not in lines:
                lines[text] = one_line(text, 400)
            reasons[str(trial.number)] = lines[text]
    return reasons


def finite(values: Mapping[str, float] | None) -> dict[str, float] | None:
    """A point by metric; None when there is none, or when a coordinate is no finite number."""
    if values is None or not np.isfinite(list(values.values())).all():
        return None
    return dict(values)


def _reason(trial: TrialRecord) -> str:
    if trial.outcome.failure is not None:
        return trial.outcome.failure.reason
    if trial.outcome.invalid:
        return "; ".join(trial.outcome.invalid)
    return "not " + ", not ".join(trial.broken())


def is_from_cache(trial: TrialRecord) -> bool:
    """Whether everything that the caches could have given came from there."""
    stages = [stage.is_cached for stage in trial.outcome.stages if stage.name not in _FRESH_STAGES]
    return bool(stages) and all(stages)
