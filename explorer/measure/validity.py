"""Validity: the reasons why the times of a measurement cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from explorer.observation import Conditions, Reason

MAX_STOP_S = 0.1
"""Longer than a scheduler lets one thread wait for another, shorter than any deliberate stop of a process."""

MIN_PROCESSOR_SHARE = 0.90
MAX_STEAL_RATIO = 0.05
MAX_OTHERS_RATIO = 0.10
MAX_DISPERSION = 0.20
"""Limit of the anchor's dispersion times the candidate's sensitivity: beyond this, the machine changed too much.

Every neighbor affects the anchor: its windows differ by 20 % at times while a small int8 network beside it takes
constant time, and rejecting that would be a false alarm.
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """Observations while times were taken, and in the phases before and after.

    threads          number that the variant requests
    cores            cores that were requested
    conditions       of those cores and of the process
    processor_share  of the timed thread, in [0, 1]
    longest_stop_s   longest time in which the timed thread had no processor
    dispersion       of the anchor's windows, as a ratio
    sensitivity      of the candidate to what slows the anchor, in [0, 1]
    n_answers        answers given while timing that were compared with those of the accuracy pass
    n_different      how many of them differ
    still_s          how long the process stood still in each other phase whose duration is reported, by name
    """

    threads: int
    cores: tuple[int, ...]
    conditions: Conditions
    processor_share: float
    longest_stop_s: float
    dispersion: float
    sensitivity: float
    n_answers: int
    n_different: int
    still_s: Mapping[str, float]


def reasons(seen: Observed) -> tuple[Reason, ...]:
    """Return why the times are invalid; empty when they are valid."""
    return tuple(_reasons(seen))


def _reasons(seen: Observed) -> Iterator[Reason]:
    conditions = seen.conditions
    if seen.n_different:
        yield _reason("different_answers", n_different=float(seen.n_different), n_answers=float(seen.n_answers))
    if conditions.cores != tuple(sorted(seen.cores)):
        yield _reason("other_cores", used=_listed(conditions.cores), wanted=_listed(sorted(seen.cores)))
    if conditions.n_working > seen.threads:
        yield _reason("more_threads", n_working=float(conditions.n_working), n_threads=float(seen.threads))
    stopped_s = max(seen.longest_stop_s, conditions.suspended_s)
    if stopped_s > MAX_STOP_S:
        yield _reason("clock_gap", seconds=stopped_s)
    for phase, still_s in seen.still_s.items():
        if still_s > MAX_STOP_S:
            yield _reason("phase_gap", phase=phase, seconds=still_s)
    if seen.processor_share < MIN_PROCESSOR_SHARE:
        yield _reason("shared_core", ratio=1 - seen.processor_share)
    elif conditions.others_ratio is not None and conditions.others_ratio > MAX_OTHERS_RATIO:
        yield _reason("other_processes", ratio=conditions.others_ratio)
    if conditions.steal_ratio is not None and conditions.steal_ratio > MAX_STEAL_RATIO:
        yield _reason("steal", ratio=conditions.steal_ratio)
    if seen.dispersion * seen.sensitivity > MAX_DISPERSION:
        yield _reason("unsteady", dispersion=seen.dispersion, sensitivity=seen.sensitivity)


def _reason(kind: str, **values: float | str) -> Reason:
    return Reason(kind, values)


def _listed(cores: Iterable[int]) -> str:
    return ", ".join(map(str, cores))
