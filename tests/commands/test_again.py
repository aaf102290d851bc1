"""The command line that does again what was interrupted."""

from __future__ import annotations

import shlex
from pathlib import Path

from explorer.commands.again import command_line


def test_command_line_has_what_was_given_and_nothing_else():
    options = {"--a": 1, "--b": None, "--c": False, "--d": True, "--e": ["x <= 1", "y"], "--f": Path("a b"), "--g": []}
    line = command_line("do", Path("my file"), options=options)
    words = ["explore", "do", "my file", "--a", "1", "--d", "--e", "x <= 1", "--e", "y", "--f", "a b"]
    assert shlex.split(line) == words


def test_command_line_number_of_nothing_is_given_all_the_same():
    assert command_line("do", options={"--port": 0, "--n": 1}) == "explore do --port 0 --n 1"
