"""What happens to a coordinator that runs, and how it may end after it."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import final

import psutil

MAY_END_WITH = {
    "sigkill_coordinator": (-signal.SIGKILL,),
    "sigkill_all": (-signal.SIGKILL,),
    "sigkill_builder": (130, -signal.SIGINT, 5, 1),
    "sigkill_probe": (130, -signal.SIGINT, 5),
    "sigterm": (130, -signal.SIGTERM),
    "sighup": (130, -signal.SIGHUP),
    "sigint": (130, -signal.SIGINT),
    "sigint_twice": (130, -signal.SIGINT),
    "sigstop": (130, -signal.SIGINT),
}
"""Exit codes beside 0, which says that it had reached its end already. 5: it was the baseline that failed. 1: the
builder could not start. A signal that comes before its handler is installed, or when all has been said, ends the
process by itself."""

_PATIENCE_S = 1.0


@final
class Disturbance:
    """Each public method is one kind of disturbance; it may come when the coordinator has ended already."""

    def __init__(self, child: int, generator: random.Random) -> None:
        self._child = child
        self._generator = generator

    def sigkill_coordinator(self) -> None:
        self._send(signal.SIGKILL)

    def sigkill_builder(self) -> None:
        self._kill_child("scripted_builder")

    def sigkill_probe(self) -> None:
        self._kill_child("scripted_probe")

    def sigkill_all(self) -> None:
        family = self._family()
        self._send(signal.SIGKILL)
        for process in family:
            _kill(process)

    def sigterm(self) -> None:
        self._send(signal.SIGTERM)

    def sigint(self) -> None:
        self._send(signal.SIGINT)

    def sigint_twice(self) -> None:
        self._send(signal.SIGINT)
        time.sleep(self._generator.uniform(0.0, 0.05))
        self._send(signal.SIGINT)

    def sigstop(self) -> None:
        self._send(signal.SIGSTOP)
        time.sleep(1.0)
        self._send(signal.SIGCONT)
        self._stop_later()

    def sighup(self) -> None:
        self._send(signal.SIGHUP)

    def _kill_child(self, module: str) -> None:
        """Wait a while for one to be there. The study survives its death, and is then asked to stop."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if found := [process for process in self._family() if _is_running(process, module)]:
                time.sleep(self._generator.uniform(0.0, 0.02))
                _kill(found[0])
                break
        self._stop_later()

    def _stop_later(self) -> None:
        time.sleep(self._generator.uniform(0.1, 0.5))
        self._send(signal.SIGINT)

    def _family(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self._child).children(recursive=True))
        except psutil.Error:
            return []

    def _send(self, number: signal.Signals) -> None:
        os.kill(self._child, number)  # nobody has waited for it yet, so the id is still its own


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return  # it ended by itself in the meantime


def _is_running(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False
