"""The report: the page as one HTML file that holds a study, its figures and what draws them, and needs no network."""

from __future__ import annotations

from pathlib import Path

from explorer.files import write_text
from explorer.study.result import StudyResult
from explorer.views.page import render_offline


def write_report(result: StudyResult, path: Path) -> None:
    """Write the report to `path`, atomically. Raises OSError when that fails."""
    write_text(path, render_offline(result))
