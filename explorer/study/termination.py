"""SIGTERM in the builder: an exception, so that nothing stays half-written; in training, a question at its reports."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from explorer.records import Progress

_EXIT_CODE = 128 + signal.SIGTERM


@contextmanager
def unwinding() -> Iterator[None]:
    """While the block runs, SIGTERM raises SystemExit where it stands: drafts, and locks, go on the way out."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(_EXIT_CODE)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping_at_a_report(on_progress: Callable[[Progress], None]) -> Iterator[Callable[[Progress], None]]:
    """While the block runs, SIGTERM ends the process at the next report, where training writes a checkpoint."""
    is_asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = True

    def report(progress: Progress) -> None:
        if is_asked:
            raise SystemExit(_EXIT_CODE)
        on_progress(progress)

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield report
    finally:
        signal.signal(signal.SIGTERM, before)
