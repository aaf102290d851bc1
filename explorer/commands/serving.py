"""Servers of commands: their address, the browser that opens their link, and the wait for Ctrl-C."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from explorer.errors import Interrupted, UsageError
from explorer.system.signals import Interrupt
from explorer.web.addresses import is_loopback


@dataclass(frozen=True, slots=True)
class Address:
    """Where a command serves; `port` None is the first free one."""

    host: str = "127.0.0.1"
    port: int | None = None
    is_remote_allowed: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    def require_allowed(self, what: str, risk: str) -> None:
        """Raise UsageError if other machines would reach the server without --allow-remote."""
        if not self.is_local and not self.is_remote_allowed:
            raise UsageError(
                f"--host {self.host} opens {what} to other machines: {risk}. Add --allow-remote if that is meant; else "
                "leave --host out, and forward the port with ssh"
            )


def is_at_terminal() -> bool:
    """Return whether standard input, output and error all are a terminal."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def has_display(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Return whether a browser window would open on a local screen."""
    if platform.startswith("linux"):
        return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
    return "SSH_CONNECTION" not in environ


# A second Ctrl-C kills the descendants of a study's process: the browser leaves their session.
_OPENER = """
import os, sys, webbrowser
if os.fork() == 0:
    os.setsid()
    webbrowser.open(sys.argv[1])
"""


def open_browser(link: str) -> None:
    """Open the link in a browser without waiting for it, where there is a terminal and a display."""
    if is_at_terminal() and has_display():
        threading.Thread(target=_launch, args=(link,), name="browser", daemon=True).start()


def _launch(link: str) -> None:
    nothing = subprocess.DEVNULL  # browsers write warnings
    subprocess.run(
        [sys.executable, "-P", "-c", _OPENER, link], stdin=nothing, stdout=nothing, stderr=nothing, check=False
    )


def wait(interrupt: Interrupt, seconds: float | None = None) -> bool:
    """Wait for an interrupting signal without polling; return False when none came within `seconds`."""
    try:
        interrupt.check()
        select.select([interrupt.fileno()], [], [], seconds)
        interrupt.check()
    except Interrupted:
        return True
    return False
