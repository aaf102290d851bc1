"""`explore report`: what is left when it is told to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from explorer import files
from explorer.commands import read
from explorer.errors import Interrupted
from explorer.views import report as view

REFERENCE = Path(__file__).parents[2] / "studies" / "reference"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_report_told_to_stop_while_it_is_made_writes_nothing(tmp_path, monkeypatch, number):
    monkeypatch.setattr(view, "render_offline", lambda result: os.kill(os.getpid(), number) or "page")
    target = tmp_path / "my report.html"
    with pytest.raises(Interrupted, match=r"To write it again: explore report \S+ -o '\S+/my report\.html'$"):
        read.report(str(REFERENCE), None, target)
    assert list(tmp_path.iterdir()) == []


def test_report_told_to_stop_while_it_is_written_is_whole_and_leaves_no_draft(tmp_path, monkeypatch):
    flush = os.fsync
    monkeypatch.setattr(view, "render_offline", lambda result: "page")
    monkeypatch.setattr(files.os, "fsync", lambda file: os.kill(os.getpid(), signal.SIGTERM) or flush(file))
    monkeypatch.setattr(files, "flush_to_disk", lambda path: None)
    read.report(str(REFERENCE), None, tmp_path / "report.html")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "page")]
