"""Signals that request a stop: checked at safe points, or raised as an exception."""

from __future__ import annotations

import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import psutil

from explorer.errors import Interrupted
from explorer.records import Progress

_EXIT_CODE = 128 + signal.SIGTERM
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Interrupt:
    """The handler of SIGINT, SIGTERM and SIGHUP in a block. The first sets a flag, which `check` raises as Interrupted.

    The second kills every descendant process and raises Interrupted in the main thread, so that terminals are restored;
    the third ends the process at once. Nothing is lost by either: a study survives SIGKILL. Where Python discards
    exceptions (in `__del__` and weak-reference callbacks) the next `check` raises. Only the main thread can enter.
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

    def __exit__(self, *exception: object) -> None:
        sys.unraisablehook = self._old_hook
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._reading.close()
        self._writing.close()

    @property
    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return self._n_signals > 0

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when a signal comes, for use with `selectors`."""
        return self._reading.fileno()

    def check(self) -> None:
        """Raise Interrupted if a stop was requested. Call it where nothing is half-done."""
        if self.is_set:
            raise Interrupted(f"interrupted by {self._name}: start the study again to resume it")
        with suppress(BlockingIOError):
            self._reading.recv(4096)  # signals with other handlers wake the descriptor too

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._n_signals += 1
        self._name = signal.Signals(number).name
        if self._n_signals == 1:
            return
        _kill_descendants()
        if self._n_signals > 2:
            os._exit(Interrupted.exit_code)
        warnings.simplefilter("ignore", ResourceWarning)  # open files end with the process
        raise Interrupted(f"stopped at once by a second {self._name}: start the study again to resume it")

    def _on_unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, Interrupted):
            self._old_hook(lost)


def _kill_descendants() -> None:
    """Kill every descendant of this process."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended in the meantime
            process.kill()


@contextmanager
def _on_sigterm(handler: _Handler) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def unwinding() -> Iterator[None]:
    """Make SIGTERM raise SystemExit while the block runs, so that drafts and locks are released."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(_EXIT_CODE)

    with _on_sigterm(end):
        yield


@contextmanager
def stopping_at_a_report(on_progress: Callable[[Progress], None]) -> Iterator[Callable[[Progress], None]]:
    """Make SIGTERM end the process at the next progress report, where training writes a checkpoint.

    Yields the function to report progress with.
    """
    is_asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = True

    def report(progress: Progress) -> None:
        if is_asked:
            raise SystemExit(_EXIT_CODE)
        on_progress(progress)

    with _on_sigterm(ask):
        yield report
