import os
import signal

import psutil
import pytest

from explorer.commands import serving
from explorer.commands.serving import has_display, open_browser, wait
from explorer.system.signals import Interrupt

LINK = "http://127.0.0.1:8321/?token=x"


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "a b c d"}, "darwin", False),
    ],
)
def test_display_is_known(environ, platform, expected):
    assert has_display(environ, platform) is expected


@pytest.mark.parametrize(
    ("is_at_terminal", "is_at_display", "expected"),
    [(True, True, [LINK]), (True, False, []), (False, True, []), (False, False, [])],
)
def test_browser_is_opened_at_a_terminal_with_a_display_only(monkeypatch, is_at_terminal, is_at_display, expected):
    class Thread:
        def __init__(self, target, args, name, daemon):
            self.start = lambda: target(*args)

    opened = []
    monkeypatch.setattr(serving, "is_at_terminal", lambda: is_at_terminal)
    monkeypatch.setattr(serving, "has_display", lambda: is_at_display)
    monkeypatch.setattr(serving.threading, "Thread", Thread)
    monkeypatch.setattr(serving, "_launch", opened.append)
    open_browser(LINK)
    assert opened == expected


def test_browser_is_nobodys_child_and_silent(tmp_path, monkeypatch, capfd, eventually):
    """A second Ctrl-C kills every descendant of a study's process: not the user's browser."""
    browser, note = tmp_path / "browser", tmp_path / "note"
    browser.write_text(
        f'#!/bin/sh\necho noise\necho noise >&2\necho "$$ $1" > {note}.draft\nmv {note}.draft {note}\nsleep 60\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    serving._launch(LINK)
    eventually(note.exists)
    pid, opened = note.read_text().split()
    try:
        assert opened == LINK
        assert int(pid) not in [child.pid for child in psutil.Process().children(recursive=True)]
        assert capfd.readouterr() == ("", "")
    finally:
        for one in (psutil.Process(int(pid)), *psutil.Process(int(pid)).children()):
            one.kill()


def test_wait_ends_with_a_signal_or_with_the_time():
    with Interrupt() as interrupt:
        assert wait(interrupt, 0.01) is False
        os.kill(os.getpid(), signal.SIGINT)
        assert wait(interrupt) is True
        assert wait(interrupt) is True
