"""Columns of trials for the page: numbers with seven significant digits, unknown ones as null; plain or packed.

Plain JSON of 50,000 trials has 15 MB and takes seconds to write; packed, it has half the size and takes a tenth of the
time. A packed column, which page/unpack.js reads, is an object of one of these forms (base64 is little-endian; NaN
stands for null):

    {"all": x}                                      every row has x
    {"from": k}                                     k, k + 1, k + 2, ...
    {"u1" | "u2" | "u4" | "f4" | "f8": base64}      numbers; those of f4 and f8 have seven digits
    {"u1" | "u2": base64, "of": [x, ...]}           places in a list of the values that occur
    {"u4": base64, "times": t, "plus": p}           p + t · number
    {"below": base64} or {"above": base64}          an interval's end, as its distance from the value in bfloat16:
                                                    the distance is right to 0.4 %
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.records import Metrics
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.formatting import one_line, parameter_text, varying_parameters

# More than the precision of any measurement, in half the bytes of all digits.
DIGITS = 7
STATES = {"complete": 0, "infeasible": 1, "failed": 2, "invalid": 3}
_POWERS = np.array([float(f"1e{power}") for power in range(23)])  # exact, as a float is up to 10^22
_WHOLE = (("u1", "<u1"), ("u2", "<u2"), ("u4", "<u4"))
_NAN_BITS = 0x7FC0  # bfloat16's quiet NaN
# Stages that are never cached.
_FRESH_STAGES = ("store", "measure")

Columns = dict[str, NDArray[Any]]
Ticks = tuple[Any, ...] | None
"""The values of a parameter that is not all numbers, in order; None for one that is."""


def finite_numbers(values: Sequence[float | None] | NDArray[Any]) -> NDArray[np.float64]:
    """Return `values` [n] as float64 [n]; None and infinities become NaN."""
    array = np.array(values, dtype=np.float64)  # None becomes NaN
    array[np.isinf(array)] = np.nan
    return array


def rounded(values: Sequence[float | None] | NDArray[Any]) -> NDArray[np.float64]:
    """Return `values` [n] with seven significant digits; None and infinities become NaN."""
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
    """Return one number with seven significant digits; None for None, NaN and infinities."""
    if value is None:
        return None
    number = float(rounded([value])[0])
    return None if np.isnan(number) else number


def as_list(column: NDArray[Any]) -> list[Any]:
    """Return a column [n] as a list of JSON-ready numbers, NaN as None."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f" and np.isnan(column).any():
        return [None if value != value else value for value in values]
    return values


def trial_columns(result: StudyResult, first: int = 0) -> Columns:
    """Return columns [n] of the trials from position `first` on, but parameters and metrics; times in seconds."""
    trials = result.trials[first:]
    started = np.array([trial.started for trial in trials], dtype=np.float64)
    finished = np.array([trial.finished for trial in trials], dtype=np.float64)
    return {
        "number": np.array([trial.number for trial in trials], dtype=np.int64),
        "state": np.array([STATES[trial.state] for trial in trials], dtype=np.int64),
        "seconds": rounded(finished - started),
        "finished": np.round(finished, 3),
        "is_cached": np.array([is_from_cache(trial) for trial in trials], dtype=np.int64),
        "batch_size": np.array([trial.outcome.variant["batch_size"] for trial in trials], dtype=np.int64),
    }


def metric_columns(result: StudyResult, first: int = 0) -> dict[str, Columns]:
    """Return the columns [n] "value" (rounded), "low", "high" and "n" of every metric; NaN where not known.

    The ends of intervals keep all digits: packing stores their distance from the value.
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
    """Return the values of each varying parameter in the order of the space; None for a numeric parameter."""
    baseline, varying = result.space.baseline(), varying_parameters(result.space)
    variants = [trial.outcome.variant for trial in result.trials]
    ticks: dict[str, Ticks] = {}
    for name, parameter in result.space.parameters.items():
        # Forked trials may have values that the space no longer offers.
        tried = dict.fromkeys(variant[name] for variant in variants)
        if name not in varying and set(tried) <= set(parameter.values):
            continue
        values = tuple(dict.fromkeys([*parameter.values, baseline[name], *tried]))
        ticks[name] = None if all(isinstance(value, int | float) for value in values) else values
    return ticks


def parameter_column(result: StudyResult, name: str, ticks: Ticks, first: int = 0) -> NDArray[Any]:
    """Return the column [n] of a parameter: its numbers, or the indices of its values in `ticks`."""
    values = [trial.outcome.variant[name] for trial in result.trials[first:]]
    if ticks is None:
        return np.array(values, dtype=None if values else np.float64)
    place = {value: index for index, value in enumerate(ticks)}
    return np.array([place[value] for value in values], dtype=np.int64)


def as_cell(value: Any) -> float | str:
    """Return a parameter's value for a table: a number unchanged, anything else as text."""
    return value if isinstance(value, int | float) else one_line(parameter_text(value))


def tick_texts(ticks: Ticks) -> list[str] | None:
    """Return the texts of a parameter's values; None for a numeric parameter."""
    return None if ticks is None else [one_line(parameter_text(value)) for value in ticks]


def trial_reasons(result: StudyResult, first: int = 0) -> dict[str, str]:
    """Return by number, in one line of plain text, why trials from position `first` on failed or are infeasible."""
    lines: dict[str, str] = {}  # texts repeat, and cleaning them would be most of the work
    reasons = {}
    for trial in result.trials[first:]:
        if trial.state != "complete":
            failure, invalid = trial.outcome.failure, "; ".join(trial.outcome.invalid)
            text = failure.reason if failure else invalid or "not " + ", not ".join(trial.broken())
            if text not in lines:
                lines[text] = one_line(text, 400)
            reasons[str(trial.number)] = lines[text]
    return reasons


def finite(values: Mapping[str, float] | None) -> dict[str, float] | None:
    """Return a point by metric; None when there is none or a coordinate is not finite."""
    if values is None or not np.isfinite(list(values.values())).all():
        return None
    return dict(values)


def is_from_cache(trial: TrialRecord) -> bool:
    """Return whether every stage that can be cached came from a cache."""
    stages = [stage.is_cached for stage in trial.outcome.stages if stage.name not in _FRESH_STAGES]
    return bool(stages) and all(stages)


def packed(column: NDArray[Any]) -> dict[str, Any]:
    """Return a column [n] in its shortest form, without loss."""
    if not len(column) or (column.dtype.kind == "f" and np.isnan(column).all()):
        return {"all": None}
    if (column == column[0]).all():
        return {"all": column[0].item()}
    if column.dtype.kind != "f":
        if (np.diff(column) == 1).all():
            return {"from": column[0].item()}
        for name, kind in _WHOLE:
            if column.min() >= 0 and column.max() <= np.iinfo(kind).max:
                return {name: _base64(column.astype(kind))}
        column = column.astype(np.float64)
    if (few := _packed_places(column)) is not None:
        return few
    single = column.astype("<f4")
    if np.array_equal(rounded(single.astype(np.float64)), column, equal_nan=True):
        return {"f4": _base64(single)}
    return {"f8": _base64(column.astype("<f8"))}


def _packed_places(column: NDArray[np.float64]) -> dict[str, Any] | None:
    """Return a column with few distinct numbers as indices into their list; None where that is not shorter."""
    values, places = np.unique(column, return_inverse=True)
    kind = "u1" if len(values) <= 256 else "u2"
    if 8 * len(values) > len(column) or len(values) > 65536:
        return None
    return {kind: _base64(places.astype(f"<{kind}")), "of": as_list(values)}


def packed_times(seconds: NDArray[np.float64]) -> dict[str, Any]:
    """Return Unix times [n] in seconds, packed with a resolution of 1 ms."""
    first = float(seconds.min()) if len(seconds) else 0.0
    after_ms = np.rint((seconds - first) * 1000)
    if not len(seconds) or after_ms.max() > np.iinfo("<u4").max:
        return packed(seconds)
    return {"u4": _base64(after_ms.astype("<u4")), "times": 0.001, "plus": first}


def packed_metric(columns: Columns) -> dict[str, Any]:
    """Return a metric's values [n] and the distances [n] of the ends of its intervals from them."""
    value = columns["value"]
    return {
        "value": packed(value),
        "low": _packed_end("below", value - columns["low"]),
        "high": _packed_end("above", columns["high"] - value),
    }


def packed_reasons(reasons: Mapping[str, str]) -> dict[str, Any]:
    """Return the reasons by trial with each text stored once."""
    place = {text: index for index, text in enumerate(dict.fromkeys(reasons.values()))}
    return {
        "texts": list(place),
        "n": len(reasons),
        "number": packed(np.array([int(number) for number in reasons], dtype=np.int64)),
        "text": packed(np.array([place[text] for text in reasons.values()], dtype=np.int64)),
    }


def _packed_end(name: str, distance: NDArray[np.float64]) -> dict[str, Any]:
    if np.isnan(distance).all():
        return {"all": None}
    bits = distance.astype("<f4").view("<u4")
    upper = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16  # to the nearest, halves to even
    return {name: _base64(np.where(np.isnan(distance), _NAN_BITS, upper).astype("<u2"))}


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
