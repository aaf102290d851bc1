"""Pace: how long a stage of known length will still take."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from explorer.records import Progress

# Less than this says nothing about the pace.
_MIN_SHARE = 0.005
_MIN_SECONDS = 2.0


@final
class Pace:
    """The speed of one stage since this run began it: a stage that goes on where an earlier run stopped counts anew."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back (`time.monotonic`)."""
        self._clock = clock
        self._stage: str | None = None
        self._started = 0.0
        self._first = 0.0

    def seconds_left(self, progress: Progress) -> float | None:
        """Seconds from `progress`, reported now, to the end of its stage; None where that cannot be said yet."""
        if progress.stage != self._stage:
            self._stage, self._started, self._first = progress.stage, self._clock(), progress.done
        done, elapsed = progress.done - self._first, self._clock() - self._started
        if not progress.total or done < _MIN_SHARE * progress.total or elapsed < _MIN_SECONDS:
            return None
        return max(0.0, elapsed * (progress.total - progress.done) / done)
