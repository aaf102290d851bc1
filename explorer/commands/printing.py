"""Where commands print: people's text and JSON to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO, cast

from rich.console import Console

from explorer.views.stream import PatientStream

_PIPE_COLUMNS = 160


def console(is_patient: bool = False) -> Console:
    """For people who read standard output; wide and without control codes where that is no terminal.

    What cannot be printed raises OSError, unless `is_patient`: work that comes afterwards is then done all the same.
    """
    stream = cast(TextIO, PatientStream(sys.stdout)) if is_patient else sys.stdout
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def print_json(value: Any, is_patient: bool = False) -> None:
    """`value` as JSON on standard output, alone. `is_patient` as in `console`."""
    stream = cast(TextIO, PatientStream(sys.stdout)) if is_patient else sys.stdout
    print(json.dumps(value, indent=1, allow_nan=False), file=stream)


def note(text: str) -> None:
    """One sentence on standard error, if anybody still reads it."""
    stream = PatientStream(sys.stderr)
    stream.write(f"{text}\n")
    stream.flush()
