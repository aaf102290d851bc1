"""`explore export`: what is said when it is interrupted."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path

import pytest

from explorer.commands import export as command
from explorer.commands.options import ExportOptions
from explorer.deploy.export import formats
from explorer.errors import Interrupted

REFERENCE = Path(__file__).parents[2] / "studies" / "reference"


@pytest.mark.parametrize("n_signals", [1, 2])
def test_export_interrupted_leaves_nothing_and_names_what_exports_again(tmp_path, monkeypatch, n_signals):
    def interrupted(result, trial):
        for _ in range(n_signals):
            os.kill(os.getpid(), signal.SIGINT)

    def stopped(choice, artifact, dataset, task, interrupt):
        interrupt.check()

    monkeypatch.setattr(formats, "artifact_of", interrupted)
    monkeypatch.setattr(formats, "_quality_on_test", stopped)
    out, data = tmp_path / "my bundle", tmp_path / "data"
    given = ["explore", "export", str(REFERENCE), "--knee", "--where", "accuracy >= 0.3", "-o", str(out)]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(Interrupted, match=r"^interrupted; nothing half-written is left\. To export again: ") as found:
        command.export(ExportOptions(str(REFERENCE), knee=True, output=out, data=data, as_json=True))
    assert shlex.split(str(found.value).partition("To export again: ")[2]) == given
    assert list(tmp_path.iterdir()) == []
