"""Interrupt: signals that ask the process to stop, turned into a question that is asked at safe points."""

from __future__ import annotations

import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import psutil

from explorer.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Interrupt:
    """While the block runs, the first SIGINT, SIGTERM or SIGHUP only sets a flag, which `check` turns into Interrupted.

    A second one means that the user will not wait: every descendant process is killed and Interrupted is raised where
    the main thread stands, so that terminals are restored; a third ends the process on the spot. Nothing is lost
    by either: a study survives SIGKILL. Where Python lets no exception out (in `__del__`, and when a weak reference
    ends) the second one is left to the next `check`. Only the main thread can enter.
    """

    def __init__(self) -> None:
        self._n_signals = 0
        self._name = ""
        self._handlers: dict[int, _Handler] = {}

    def __enter__(self) -> Interrupt:
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)
        self._old_wakeup = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        self._old_hook = sys.unraisablehook
        sys.unraisablehook = self._on_unraisable
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        sys.unraisablehook = self._old_hook
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._reading.close()
        self._writing.close()

    @property
    def is_set(self) -> bool:
        """Whether the process was asked to stop."""
        return self._n_signals > 0

    def fileno(self) -> int:
        """A file descriptor that becomes readable when a signal comes: waiting with `selectors` needs no polling."""
        return self._reading.fileno()

    def check(self) -> None:
        """Raises Interrupted when the process was asked to stop. To be called where nothing is half-done."""
        if self.is_set:
            raise Interrupted(f"interrupted by {self._name}: start the study again to resume it")
        try:
            self._reading.recv(4096)  # signals that others handle wake the descriptor too
        except BlockingIOError:
            return

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._n_signals += 1
        self._name = signal.Signals(number).name
        if self._n_signals == 1:
            return
        _kill_descendants()
        if self._n_signals > 2:
            os._exit(Interrupted.exit_code)
        warnings.simplefilter("ignore", ResourceWarning)  # what was open where the main thread stands ends with it
        raise Interrupted(f"stopped at once by a second {self._name}: start the study again to resume it")

    def _on_unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, Interrupted):
            self._old_hook(lost)


def _kill_descendants() -> None:
    """End every process that this one started, and theirs."""
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue  # it ended by itself in the meantime
