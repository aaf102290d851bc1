"""Packing: the columns of a large study as binary in base64, which explorer/views/page/unpack.js reads back.

Plain JSON of 50,000 trials is 15 MB and takes seconds to write; packed, it is half and takes a tenth. A packed column
is an object of one of these forms (base64 is little-endian; NaN stands for null):

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
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.views.page_columns import Columns, as_list, rounded

_WHOLE = (("u1", "<u1"), ("u2", "<u2"), ("u4", "<u4"))
_NAN_BITS = 0x7FC0  # bfloat16's quiet NaN


def packed(column: NDArray[Any]) -> dict[str, Any]:
    """A column in its shortest form; what comes back is equal to it."""
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
    """A column in which few numbers occur, as places in a list of them; None for one that this does not shorten."""
    values, places = np.unique(column, return_inverse=True)
    kind = "u1" if len(values) <= 256 else "u2"
    if 8 * len(values) > len(column) or len(values) > 65536:
        return None
    return {kind: _base64(places.astype(f"<{kind}")), "of": as_list(values)}


def packed_times(seconds: NDArray[np.float64]) -> dict[str, Any]:
    """Moments of the Unix clock, to the millisecond."""
    first = float(seconds.min()) if len(seconds) else 0.0
    after_ms = np.rint((seconds - first) * 1000)
    if not len(seconds) or after_ms.max() > np.iinfo("<u4").max:
        return packed(seconds)
    return {"u4": _base64(after_ms.astype("<u4")), "times": 0.001, "plus": first}


def packed_metric(columns: Columns) -> dict[str, Any]:
    """A metric's value as it is, and the ends of its interval as distances from it."""
    value = columns["value"]
    return {
        "value": packed(value),
        "low": _packed_end("below", value - columns["low"]),
        "high": _packed_end("above", columns["high"] - value),
    }


def packed_reasons(reasons: Mapping[str, str]) -> dict[str, Any]:
    """Reasons by trial, each text once."""
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
