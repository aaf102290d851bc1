"""`explore start` on a fake evaluator, as a program of its own: in the terminal, or beside the pipes, that it is given.

    on_terminal.py MARKS ARGUMENT...

A line is appended to the file MARKS whenever a trial is evaluated. Where standard input is a terminal, the process
becomes its session's leader: hanging up is then told to it.
"""

from __future__ import annotations

import fcntl
import sys
import termios
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes import FakeEvaluator, append_line

from explorer.cli import main
from explorer.commands import start

marks = Path(sys.argv[1])
if sys.stdin.isatty():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def evaluator(space: object, folder: Path, *_: object) -> FakeEvaluator:
    return FakeEvaluator(folder, before=lambda variant, number: append_line(marks, str(number)), delay_s=0.02)


start.MeasuringEvaluator = evaluator
sys.argv = ["explore", "start", *sys.argv[2:]]
main()
