"""`explore train`: what is said when it is interrupted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from explorer.commands import train as command
from explorer.errors import Interrupted

SPACE = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"


class Stopped:
    """An evaluator that is interrupted while it trains."""

    def __init__(self, space, folder, data, interrupt):
        """It needs none of them."""

    def prepare(self, on_progress):
        raise Interrupted("interrupted by SIGINT")

    def close(self):
        """Nothing to end."""


def test_train_interrupted_says_how_to_go_on_as_a_shell_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "MeasuringEvaluator", Stopped)
    file, data = tmp_path / "my space.yaml", tmp_path / "my data"
    file.write_text(SPACE.read_text())
    given = ["explore", "train", str(file), "--recipe", "quick", "--data", str(data)]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(Interrupted, match=r"a checkpoint is kept\. To go on: explore train") as found:
        command.train(file, "quick", data, False, True)
    assert shlex.split(str(found.value).partition("To go on: ")[2]) == given
