"""The command line that does again what was interrupted."""

from __future__ import annotations

import shlex

import pytest

from explorer.commands.repeat import repeat_command


def again(line, changes=None, added=()):
    return repeat_command(changes, shlex.split(line), added)


def test_repeat_command_is_what_was_given_quoted_for_a_shell(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/explore", "do", "my file", "--where", "x <= 1", "--port", "0", "--knee"])
    assert repeat_command() == "explore do 'my file' --where 'x <= 1' --port 0 --knee"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("--storage 'sqlite:///a b.db'", "--storage 'sqlite:///a b.db'"),
        ("--storage postgresql://me:secret@host/db", "--storage 'postgresql://me:***@host/db'"),
        ("--storage=postgresql://me:secret@host/db", "--storage 'postgresql://me:***@host/db'"),
        ("--storage 'sqlite:///s.db?key=secret'", "--storage 'sqlite:///s.db?***'"),
    ],
)
def test_repeat_command_has_no_password(given, shown):
    assert again(f"start a.yaml {given} --quiet") == f"explore start a.yaml {shown} --quiet"


@pytest.mark.parametrize("given", ["--name old --fork new", "--fork=new --name=old"])
def test_repeat_command_words_are_replaced_and_options_left_out_with_their_values(given):
    changes = {"--name": None, "--fork": "--name", "a.yaml": "b.yaml"}
    line = again(f"start ./a.yaml {given} --json", changes)
    assert line.replace("=", " ") == "explore start b.yaml --name new --json"


def test_repeat_command_added_words_come_before_the_operands():
    changes = {"--fork": None, "a.yaml": "b.yaml"}
    line = again("start --trials=2 --fork old -- ./a.yaml", changes, ("--fork", "NAME"))
    assert line == "explore start --trials=2 --fork NAME -- b.yaml"
    assert again("start a.yaml --json", added=("--fork", "NAME")) == "explore start a.yaml --json --fork NAME"
