"""A command in its terminal: streams that may be closed, every exception one sentence, and the exit code."""

from __future__ import annotations

import os
import sys
import traceback
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

from explorer.disk_errors import OF_THE_DISK
from explorer.errors import ExplorerError

_CLOSED_PIPE = 141  # what shells say of a process that SIGPIPE ended

# Controls, invisible formats (such as right to left), halves of characters, and separators of lines.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def run_in_terminal(command: Callable[[], None]) -> int | str | None:
    """Run a command, which may leave with SystemExit, and return what to exit with; only an interrupt is passed on."""
    _prepare_streams()
    exit_code = _run(command)
    if (fault := _flushed(sys.stdout)) is not None and not exit_code:
        is_pipe_closed = isinstance(fault, BrokenPipeError)
        exit_code = _CLOSED_PIPE if is_pipe_closed else _said(f"standard output cannot be written: {fault.strerror}", 1)
    _flushed(sys.stderr)
    return exit_code


def _run(command: Callable[[], None]) -> int | str | None:
    try:
        command()
    except SystemExit as leaving:
        # Typer makes an exit code of its own of every closed pipe.
        return _CLOSED_PIPE if isinstance(leaving.__context__, BrokenPipeError) else leaving.code
    except ExplorerError as error:
        return _said(str(error), error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and (error.filename is not None or error.errno in OF_THE_DISK):
            where = error.filename or "the disk"
            return _said(f"{where} cannot be used ({error.strerror}): mend that, or name another place", 1)
        with suppress(OSError):  # as in `_said`
            traceback.print_exc()
        return _said("internal fault: please report the lines above with the command that led to them", 1)
    return 0


def _said(message: str, exit_code: int) -> int:
    with suppress(OSError):  # a terminal that hung up, a closed pipe: nobody reads, and the exit code still tells
        print(f"explore: {_harmless(message)}", file=sys.stderr)
    return exit_code


def _flushed(stream: TextIO) -> OSError | None:
    """What keeps a stream from being written; it is the null device then, for Python flushes once more at exit."""
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def _prepare_streams() -> None:
    """Print what an encoding lacks as `?`; make a standard stream that was closed the null device.

    The next file that is opened would take its place otherwise, and get what is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _harmless(message: str) -> str:
    """The message without codes that steer a terminal, which the name of a stranger's file may have."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in _STEERING else "\ufffd" for char in message
    )
