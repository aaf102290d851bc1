"""Validity: whether the times of a measurement can be believed, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from explorer.measure.conditions import Conditions

MAX_STOP_S = 0.1
"""Longer than a scheduler lets one thread wait for another; shorter than anyone stops a process for."""

MIN_PROCESSOR_SHARE = 0.90
MAX_STEAL_RATIO = 0.05
MAX_OTHERS_RATIO = 0.10
MAX_DISPERSION = 0.20
"""Of the anchor's dispersion so much may reach the candidate's times; beyond this the machine was two machines.

The anchor feels every neighbor: its windows differ by 20 % now and then while a small int8 network beside it takes the
same time throughout, and to doubt that would be a false alarm.
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed while times were taken, and in the phases before and after.

    threads          asked for; the variant's
    cores            the cores that were asked for
    conditions       of those cores and of the process
    processor_share  of the timed thread, in [0, 1]
    longest_stop_s   the longest time in which the timed thread had no processor
    dispersion       of the anchor's windows, as a ratio
    sensitivity      of the candidate to what slows the anchor, in [0, 1]
    n_answers        answers taken while timing that were compared with those of the accuracy pass, and
    n_different      how many of them were others
    still_s          how long the process stood still in each other phase whose length is stated, by its name
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


def reasons(seen: Observed) -> tuple[str, ...]:
    """Why the times cannot be believed, one sentence each; empty: they can."""
    return tuple(_reasons(seen))


def _reasons(seen: Observed) -> Iterator[str]:
    conditions = seen.conditions
    if seen.n_different:
        yield (
            f"{seen.n_different} of {seen.n_answers} answers given while timing are not those of the accuracy pass: "
            "what was timed is not what was judged"
        )
    if conditions.cores != tuple(sorted(seen.cores)):
        yield f"it ran on cores {list(conditions.cores)}, and cores {sorted(seen.cores)} were asked for"
    if conditions.n_working > seen.threads:
        yield f"{conditions.n_working} threads worked, and {seen.threads} were asked for"
    stopped_s = max(seen.longest_stop_s, conditions.suspended_s)
    if stopped_s > MAX_STOP_S:
        yield f"the clock has a gap: it stood still for {stopped_s:.2f} s (stopped, suspended, or without a core)"
    for phase, still_s in seen.still_s.items():
        if still_s > MAX_STOP_S:
            yield f"its {phase} has a gap: it stood still for {still_s:.2f} s (stopped, suspended, or without a core)"
    if seen.processor_share < MIN_PROCESSOR_SHARE:
        yield f"others had its core for {1 - seen.processor_share:.0%} of the time"
    elif conditions.others_ratio is not None and conditions.others_ratio > MAX_OTHERS_RATIO:
        yield f"other processes used {conditions.others_ratio:.0%} of the measuring cores"
    if conditions.steal_ratio is not None and conditions.steal_ratio > MAX_STEAL_RATIO:
        yield f"the hypervisor took {conditions.steal_ratio:.0%} of the measuring cores' time"
    if seen.dispersion * seen.sensitivity > MAX_DISPERSION:
        yield (
            f"the machine was not steady: the anchor's windows differ by {seen.dispersion:.0%}, "
            f"and the variant feels {seen.sensitivity:.0%} of it"
        )
