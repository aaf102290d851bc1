"""Serving: what `explore start` and `explore dashboard` share: the link, the browser, and the wait for Ctrl-C."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
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


# The browser is to be nobody's child: a second Ctrl-C kills the descendants of a study's process.
_OPENER = """
import os, sys, webbrowser
if os.fork() == 0:
    os.setsid()
    webbrowser.open(sys.argv[1])
"""


def open_browser(link: str) -> None:
    """Open the link where somebody sits at a display. Nobody waits for the browser, which may take seconds."""
    if is_at_terminal() and has_display():
        threading.Thread(target=_launch, args=(link,), name="browser", daemon=True).start()


def _launch(link: str) -> None:
    nothing = subprocess.DEVNULL  # browsers complain of much
    subprocess.run(
        [sys.executable, "-P", "-c", _OPENER, link], stdin=nothing, stdout=nothing, stderr=nothing, check=False
    )


def wait(interrupt: Interrupt, seconds: float | None = None) -> bool:
    """Wait for a signal that asks to stop, without polling; False when none came within `seconds`."""
    try:
        interrupt.check()
        select.select([interrupt.fileno()], [], [], seconds)
        interrupt.check()
    except Interrupted:
        return True
    return False
