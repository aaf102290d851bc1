"""Bell: rung by the study's thread, heard by one coroutine of the server's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import final


@final
class Bell:
    """Ringing costs microseconds, and next to nothing while an earlier ring is unheard. To be made in the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._is_rung = False

    def ring(self) -> None:
        """Wake the coroutine; from any thread."""
        if self._is_rung:
            return
        self._is_rung = True
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the coroutine with it
            self._loop.call_soon_threadsafe(self._event.set)

    async def heard(self, timeout_s: float) -> bool:
        """Wait for a ring; False when none came in time. What was told before the ring can be read afterwards."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return False
        self._is_rung = False
        self._event.clear()
        return True
