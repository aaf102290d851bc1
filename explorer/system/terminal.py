"""A command in its terminal: closed streams, every exception as one sentence, and the exit code."""

from __future__ import annotations

import os
import sys
import traceback
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO, final

from explorer.errors import ExplorerError
from explorer.system.disk_errors import OF_THE_DISK

_CLOSED_PIPE = 141  # the exit code that shells give a process ended by SIGPIPE

# Control characters, invisible formats (such as right to left), surrogates, and line separators.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@final
class PatientStream:
    """A text stream that ignores writes once its reader has gone: a closed pipe must not end a study.

    Characters that the encoding lacks are written as `?`. `is_open` is False once a write has failed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_open = True

    @property
    def encoding(self) -> str:
        """The encoding of the wrapped stream; UTF-8 for a stream without one."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write `text`, or do nothing once the reader has gone; return the number of characters."""
        self._attempt(lambda: self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding)))
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing once the reader has gone."""
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.is_open:
            try:
                action()
            except (OSError, ValueError):  # a closed pipe, a terminal that hung up, a closed stream
                self.is_open = False

    def isatty(self) -> bool:
        """Return whether the stream is an open terminal."""
        return self.is_open and self._stream.isatty()


def run_in_terminal(command: Callable[[], None]) -> int | str | None:
    """Run `command`, which may raise SystemExit, and return the exit code. Only KeyboardInterrupt and the like pass."""
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
        # Typer exits with a code of its own for every closed pipe.
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
    with suppress(OSError):  # the terminal hung up or the pipe is closed; the exit code remains
        print(f"explore: {_harmless(message)}", file=sys.stderr)
    return exit_code


def _flushed(stream: TextIO) -> OSError | None:
    """Flush, and return the error that prevents it; then use the null device, as Python flushes at exit."""
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def _prepare_streams() -> None:
    """Reopen closed standard streams as the null device, and print characters that the encoding lacks as `?`.

    Otherwise the next opened file would take a closed stream's descriptor and receive printed output.
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
    """Return `message` without terminal control codes, which the name of an untrusted file may contain."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in _STEERING else "\ufffd" for char in message
    )
