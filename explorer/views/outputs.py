"""A study's outputs: trials.csv, front.csv and report.html in its folder, each whole or absent."""

from __future__ import annotations

from explorer.files import write_text
from explorer.study.front import front_summary
from explorer.study.result import StudyResult
from explorer.views.csv_text import front_csv, trials_csv
from explorer.views.report import write_report


def write_outputs(result: StudyResult) -> None:
    """Write all three into `result.folder`, replacing older ones. Raises OSError when the disk is full or read-only."""
    write_text(result.folder / "trials.csv", trials_csv(result))
    write_text(result.folder / "front.csv", front_csv(result, front_summary(result)))
    write_report(result, result.folder / "report.html")
