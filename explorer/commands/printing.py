"""Printing of commands: results as text or JSON to standard output, all other messages to standard error."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO, cast

from rich.console import Console

from explorer.system.terminal import PatientStream

_PIPE_COLUMNS = 160


def console(is_patient: bool = False) -> Console:
    """Return a console on standard output, 160 columns wide and without control codes where that is not a terminal.

    Printing raises OSError when standard output cannot be written; with `is_patient` such errors are ignored, so that
    the work that follows is still done.
    """
    stream = cast(TextIO, PatientStream(sys.stdout)) if is_patient else sys.stdout
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_json(value: Any, is_patient: bool = False) -> None:
    """Print `value` as JSON on standard output; `is_patient` as in `console`."""
    stream = cast(TextIO, PatientStream(sys.stdout)) if is_patient else sys.stdout
    print(json.dumps(value, indent=1, allow_nan=False), file=stream)


def note(text: str) -> None:
    """Print one line on standard error; errors of a closed stream are ignored."""
    stream = PatientStream(sys.stderr)
    stream.write(f"{text}\n")
    stream.flush()
