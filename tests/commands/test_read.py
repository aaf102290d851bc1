"""`explore report`: what is left when it is told to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from explorer.commands import export, read
from explorer.commands.options import ExportOptions, FrontOptions
from explorer.errors import Interrupted
from explorer.records import Measurement
from explorer.study import front
from explorer.study.confirm.confirmed_values import confirmed_samples
from explorer.system import files
from explorer.views.page import html

REFERENCE = Path(__file__).parents[2] / "studies" / "reference"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_report_told_to_stop_while_it_is_made_writes_nothing(tmp_path, monkeypatch, number):
    monkeypatch.setattr(html, "render_offline", lambda *_: os.kill(os.getpid(), number) or "page")
    target = tmp_path / "my report.html"
    monkeypatch.setattr("sys.argv", ["explore", "report", str(REFERENCE), "-o", str(target)])
    with pytest.raises(Interrupted, match=r"To write it again: explore report \S+ -o '\S+/my report\.html'$"):
        read.report(REFERENCE, target)
    assert list(tmp_path.iterdir()) == []


def test_report_told_to_stop_while_it_is_written_is_whole_and_leaves_no_draft(tmp_path, monkeypatch):
    flush = os.fsync
    monkeypatch.setattr(html, "render_offline", lambda *_: "page")
    monkeypatch.setattr(files.os, "fsync", lambda file: os.kill(os.getpid(), signal.SIGTERM) or flush(file))
    monkeypatch.setattr(files, "flush_to_disk", lambda path: None)
    read.report(REFERENCE, tmp_path / "report.html")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "page")]


def test_front_show_report_and_export_draw_the_bootstrap_once(monkeypatch, tmp_path):
    drawn = []

    def counted(*arguments):
        drawn.append(1)
        return confirmed_samples(*arguments)

    def written(result, choice, target, data, documents, interrupt):
        documents("made-up", on_test := Measurement(0.89, n=10))
        return on_test

    monkeypatch.setattr(front, "confirmed_samples", counted)
    monkeypatch.setattr(export, "check_export", lambda result, choice, target: None)
    monkeypatch.setattr(export, "write_export", written)
    study, where = str(REFERENCE), ["latency_ms <= 5"]
    for call in (
        lambda: read.front(FrontOptions(study)),
        lambda: read.front(FrontOptions(study, where, as_json=True)),
        lambda: read.show(REFERENCE, 3, is_json=False),
        lambda: read.show(REFERENCE, 3, is_json=True),
        lambda: read.report(REFERENCE, tmp_path / "report.html"),
        lambda: export.export(ExportOptions(study, knee=True, where=where, output=tmp_path / "bundle")),
    ):
        drawn.clear()
        call()
        assert len(drawn) == 1
