from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time

import psutil
import pytest

from explorer.errors import Interrupted
from explorer.system.signals import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_first_signal_only_raises_in_check(number):
    with Interrupt() as interrupt:
        interrupt.check()
        os.kill(os.getpid(), number)
        assert interrupt.is_set
        with pytest.raises(Interrupted, match=f"interrupted by {number.name}: start the study again"):
            interrupt.check()


def test_interrupt_wakes_a_selector():
    with Interrupt() as interrupt, selectors.DefaultSelector() as selector:
        selector.register(interrupt, selectors.EVENT_READ)
        assert selector.select(0) == []
        os.kill(os.getpid(), signal.SIGINT)
        assert len(selector.select(10)) == 1


def test_interrupt_other_handled_signals_do_not_keep_it_awake():
    old = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    try:
        with Interrupt() as interrupt, selectors.DefaultSelector() as selector:
            selector.register(interrupt, selectors.EVENT_READ)
            os.kill(os.getpid(), signal.SIGUSR1)
            interrupt.check()
            assert selector.select(0) == []
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_interrupt_end_restores_the_handlers():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_interrupt_second_signal_kills_descendants_and_stops_at_once():
    child = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    with child, Interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted, match="stopped at once by a second SIGINT"):
            os.kill(os.getpid(), signal.SIGINT)
    assert child.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30  # it was sent SIGKILL; a busy machine takes a while to carry that out
    while is_running(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(grandchild)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_interrupt_second_signal_leaves_what_was_open_without_a_warning():
    script = """
import os, signal, subprocess
from explorer.errors import Interrupted
from explorer.system.signals import Interrupt

def start():
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)

try:
    with Interrupt():
        start()
except Interrupted as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "stopped at once by a second SIGINT" in done.stdout
    assert done.stderr == ""


def test_interrupt_second_signal_where_no_exception_gets_out_is_left_to_the_next_check(monkeypatch):
    others = []
    monkeypatch.setattr(sys, "unraisablehook", others.append)

    class Ending:
        def __init__(self, error: Exception | None) -> None:
            self.error = error

        def __del__(self) -> None:
            if self.error is not None:
                raise self.error
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # where the signal's handler raises at the latest

    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        ending = Ending(None)
        del ending
        assert others == []
        with pytest.raises(Interrupted, match="interrupted by SIGTERM"):
            interrupt.check()
        ending = Ending(ValueError("of another kind"))
        del ending
        assert [str(one.exc_value) for one in others] == ["of another kind"]
    assert sys.unraisablehook == others.append


def test_interrupt_third_signal_ends_the_process():
    script = """
import os, signal
from explorer.system.signals import Interrupt
with Interrupt():
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 130
