"""The trace of a measurement: uncorrected times of the candidate and of the anchor, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ARRAYS = {
    "raw_ns": "latency_raw_ns",
    "slice": "latency_slice",
    "anchor_ns": "anchor_ns",
    "anchor_slice": "anchor_slice",
    "wall_ns": "stretch_wall_ns",
    "processor_ns": "stretch_processor_ns",
}
AXES = {name: name[0] if name.startswith(("anchor", "stretch")) else "q" for name in _ARRAYS.values()}
AXES["anchor_ns"] = "ap"
"""Axes of a trace's arrays: q times of the candidate, a of the anchor in p parts, s stretches of time."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Uncorrected times.

    raw_ns       [q] of the candidate's timed queries, in order; slice [q]: the slice of each
    anchor_ns    [a, p] of the anchor's p parts, anchor_slice [a], counted from 0 without gaps; the anchor's slice w
                 comes before the candidate's slice w, and w + 1 after it
    wall_ns      [s] of every stretch, a slice of the anchor or of the candidate, in order
    processor_ns [s] processor time of this thread in each stretch
    """

    raw_ns: NDArray[np.int64]
    slice: NDArray[np.int64]
    anchor_ns: NDArray[np.int64]
    anchor_slice: NDArray[np.int64]
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
    def anchor_medians_ns(self) -> NDArray[np.float64]:
        """Median time of each of the anchor's parts in each of its slices [w, p]."""
        begins = np.flatnonzero(np.diff(self.anchor_slice))
        return np.array([np.median(part, axis=0) for part in np.split(self.anchor_ns, begins + 1)])

    @property
    def slice_stretches_ns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Wall and processor time of the stretch of each of the candidate's slices [w]."""
        slices = np.unique(self.slice)
        places = slices + 1 + np.arange(len(slices))  # there is a stretch for each slice of the anchor, too
        return self.wall_ns[places], self.processor_ns[places]

    @property
    def longest_stop_s(self) -> float:
        """Longest time within one stretch in which this thread had no processor, in seconds."""
        return float(max(0, (self.wall_ns - self.processor_ns).max(initial=0)) / 1e9)
