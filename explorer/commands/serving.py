"""Serving: what `explore start` and `explore dashboard` share: the link, the browser, and the wait for Ctrl-C."""

from __future__ import annotations

import os
import select
import sys
import threading
import webbrowser
from collections.abc import Mapping

from explorer.errors import Interrupted
from explorer.study.interrupt import Interrupt


def is_at_terminal() -> bool:
    """Whether somebody sits here: reads what is printed, and could press Ctrl-C."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def has_display(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a browser's window would open on this screen, and not on one at the other end of a connection."""
    if platform.startswith("linux"):
        return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
    return "SSH_CONNECTION" not in environ


def open_browser(link: str) -> None:
    """Open the link where somebody sits at a display. Nobody waits for the browser, which may take seconds."""
    if is_at_terminal() and has_display():
        threading.Thread(target=webbrowser.open, args=(link,), name="browser", daemon=True).start()


def wait(interrupt: Interrupt, seconds: float | None = None) -> bool:
    """Wait for a signal that asks to stop, without polling; False when none came within `seconds`."""
    try:
        interrupt.check()
        select.select([interrupt.fileno()], [], [], seconds)
        interrupt.check()
    except Interrupted:
        return True
    return False
