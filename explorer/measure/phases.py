"""Phases: whether the process stood still in a phase of which nothing but its whole length is known.

Of timed queries every stretch is known (`measure.timing`). A cold start happens once, and waits for files: that it had
no processor says nothing. What the kernel says of this process does: that it was stopped and continued, that it was
ready and waited for a core, that the machine slept.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

_MIN_WAITED_RATIO = 0.10
"""Less of a phase is what one process waits for the others of any machine, a millisecond here and there."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the process's first thread, in seconds.

    processor_s  in which it had a processor, and
    waited_s     in which it was ready and had none
    suspended_s  for which the machine slept meanwhile; not part of `wall_s`
    was_stopped  and continued, as by SIGSTOP and SIGCONT
    """

    wall_s: float
    processor_s: float
    waited_s: float
    suspended_s: float
    was_stopped: bool

    @property
    def still_s(self) -> float:
        """How long it stood still: stopped, suspended, or for a good part of the phase without a core, in seconds."""
        stopped_s = max(0.0, self.wall_s - self.processor_s - self.waited_s) if self.was_stopped else 0.0
        waited_s = self.waited_s if self.waited_s > _MIN_WAITED_RATIO * self.wall_s else 0.0
        return self.suspended_s + stopped_s + waited_s

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Phase:
        """The inverse of `dataclasses.asdict`. Raises TypeError for other fields, or values that are none."""
        made = cls(**values)
        numbers = (made.wall_s, made.processor_s, made.waited_s, made.suspended_s)
        if not isinstance(made.was_stopped, bool) or not all(isinstance(n, int | float) for n in numbers):
            raise TypeError(f"expected four numbers and a truth value, got {values!r}")
        return made


def _asleep_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


def _waited_ns() -> int:
    """How long this thread was ready and had no core; 0 where the kernel does not count it."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _was_stopped() -> bool:
    """Whether this process was continued since the last call: `measure.child` starts it with SIGCONT blocked."""
    return signal.sigtimedwait({signal.SIGCONT}, 0) is not None


@dataclass(frozen=True, slots=True)
class Clocks:
    """Nanoseconds of the wall; those in which this thread had a processor, or waited for one; those that the machine
    slept; and whether the process was stopped and continued since that was last asked.
    """

    wall_ns: Callable[[], int] = time.monotonic_ns
    processor_ns: Callable[[], int] = time.thread_time_ns
    waited_ns: Callable[[], int] = _waited_ns
    asleep_ns: Callable[[], int] = _asleep_ns
    was_stopped: Callable[[], bool] = _was_stopped


@final
class Watch:
    """Watches phases that follow one another; the first began when the process did, at `started_ns` of the wall."""

    def __init__(self, started_ns: int, clocks: Clocks | None = None) -> None:
        self._clocks = clocks or Clocks()
        self._mark = (started_ns, 0, 0, self._clocks.asleep_ns())
        self.phases: dict[str, Phase] = {}

    def begin(self) -> None:
        """A phase begins now, and what came since the last one belongs to none."""
        self._mark = self._now()
        self._clocks.was_stopped()

    def end(self, name: str) -> Phase:
        """The phase ends, and the next one begins. One that comes again takes the place of the earlier one."""
        mark, self._mark = self._mark, self._now()
        wall, processor, waited, asleep = ((now - then) / 1e9 for now, then in zip(self._mark, mark, strict=True))
        made = Phase(wall, processor, waited, max(0.0, asleep), self._clocks.was_stopped())
        self.phases[name] = made
        return made

    def to_json(self) -> dict[str, dict[str, Any]]:
        """The phases by name, JSON-ready."""
        return {name: asdict(phase) for name, phase in self.phases.items()}

    def _now(self) -> tuple[int, int, int, int]:
        clocks = self._clocks
        return clocks.wall_ns(), clocks.processor_ns(), clocks.waited_ns(), clocks.asleep_ns()
