"""The trace of a measurement: uncorrected times with their windows, of the candidate, the anchor and the pulse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ARRAYS = {
    "raw_ns": "latency_raw_ns",
    "window": "latency_window",
    "anchor_ns": "anchor_ns",
    "anchor_window": "anchor_window",
    "pulse_ns": "pulse_ns",
    "pulse_window": "pulse_window",
    "wall_ns": "stretch_wall_ns",
    "processor_ns": "stretch_processor_ns",
}
AXES = {name: name[0] if name.startswith(("anchor", "pulse", "stretch")) else "q" for name in _ARRAYS.values()}
"""Axes of a trace's arrays: q times of the candidate, a and p of anchor and pulse, s stretches of time."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Uncorrected times.

    raw_ns       [q] of the candidate's timed queries, in order; window [q]: the window of each
    anchor_ns    [a] of the anchor, anchor_window [a]; the anchor's window w comes before the candidate's window w,
                 and one more follows the last. Both are empty without an anchor
    pulse_ns     [p] of the pulse, pulse_window [p]; a few in each of the anchor's windows, with or without an anchor
    wall_ns      [s] of every stretch between two readings of the clocks, from the first query to the last
    processor_ns [s] processor time of this thread in each stretch
    """

    raw_ns: NDArray[np.int64]
    window: NDArray[np.int64]
    anchor_ns: NDArray[np.int64]
    anchor_window: NDArray[np.int64]
    pulse_ns: NDArray[np.int64]
    pulse_window: NDArray[np.int64]
    wall_ns: NDArray[np.int64]
    processor_ns: NDArray[np.int64]

    def to_arrays(self) -> dict[str, NDArray[np.int64]]:
        """Return the arrays [n] of a trace by their names in a measurement's .npz file; times are in nanoseconds."""
        return {name: getattr(self, field) for field, name in _ARRAYS.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Trace:
        """Return the inverse of `to_arrays`. Raises KeyError for a missing array."""
        return cls(**{field: np.asarray(arrays[name], dtype=np.int64) for field, name in _ARRAYS.items()})

    @property
    def processor_share(self) -> float:
        """Share of the time in which the timed thread had a processor: 1 when undisturbed."""
        return float(self.processor_ns.sum() / max(1, self.wall_ns.sum()))

    @property
    def longest_stop_s(self) -> float:
        """Longest time within one stretch in which this thread had no processor, in seconds."""
        return float(max(0, (self.wall_ns - self.processor_ns).max(initial=0)) / 1e9)
