"""The report: the page as one HTML file that holds a study, its figures and what draws them, and needs no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from explorer.files import write_text
from explorer.study.result import StudyResult
from explorer.views.page import render_offline


def write_report(result: StudyResult, path: Path, before_writing: Callable[[], None] = lambda: None) -> None:
    """Write the report to `path`, atomically. Raises OSError when that fails, and what `before_writing` raises."""
    page = render_offline(result)
    before_writing()
    write_text(path, page)
