"""`explore export`: what is said when it is interrupted."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path

import pytest

from explorer.commands import export as command
from explorer.errors import Interrupted

REFERENCE = Path(__file__).parents[2] / "studies" / "reference"


@pytest.mark.parametrize("n_signals", [1, 2])
def test_export_interrupted_leaves_nothing_and_names_what_exports_again(tmp_path, monkeypatch, n_signals):
    def interrupted(result, trial):
        for _ in range(n_signals):
            os.kill(os.getpid(), signal.SIGINT)

    def stopped(choice, artifact, dataset, interrupt):
        interrupt.check()

    monkeypatch.setattr(command, "artifact_of", interrupted)
    monkeypatch.setattr(command, "_accuracy_on_test", stopped)
    out, data = tmp_path / "my bundle", tmp_path / "data"
    with pytest.raises(Interrupted, match=r"^interrupted; nothing half-written is left\. To export again: ") as found:
        command.export(str(REFERENCE), None, None, True, None, ["accuracy >= 0.3"], out, "bundle", data, False, True)
    words = shlex.split(str(found.value).partition("To export again: ")[2])
    assert words[:4] == ["explore", "export", str(REFERENCE), "--knee"]
    assert words[4:] == ["--where", "accuracy >= 0.3", "-o", str(out), "--format", "bundle", "--data", str(data)]
    assert list(tmp_path.iterdir()) == []
