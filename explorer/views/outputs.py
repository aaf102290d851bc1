"""The output files of a study: trials.csv, front.csv, report.html, written atomically; and its trials as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from explorer.study.front import FrontEntry, FrontView, front_view
from explorer.study.result import StudyResult, TrialRecord
from explorer.system.files import write_text
from explorer.views.formatting import parameter_text

# Spreadsheets run a text cell that begins with one of these as a formula (OWASP, "CSV injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def trials_csv(result: StudyResult) -> str:
    """Return every trial: number, state, feasible, each parameter, each metric, `<metric>_low`, `<metric>_high`.

    Numbers have all digits (repr); an unknown one is an empty cell.
    """
    trials = sorted(result.trials, key=lambda trial: trial.number)
    metrics = result.metric_names()
    return _csv(_columns(result, metrics), (_cells(result, metrics, trial) for trial in trials))


def front_csv(front: FrontView) -> str:
    """Return the front with the columns of `trials_csv` and `knee`, `probability`, `test_accuracy`, `ties`.

    A confirmed front has confirmed values, and `ties` are trial numbers separated by spaces; without a confirmation the
    last three columns are empty.
    """
    result, metrics = front.searched, front.searched.metric_names()
    rows = ([*_cells(result, metrics, entry.trial), *_standing(entry)] for entry in front.entries)
    return _csv([*_columns(result, metrics), "knee", "probability", "test_accuracy", "ties"], rows)


def _standing(entry: FrontEntry) -> list[str]:
    test = None if entry.test_accuracy is None else entry.test_accuracy.value
    return [_flag(entry.is_knee), _text(entry.probability), _text(test), " ".join(map(str, entry.ties))]


def _columns(result: StudyResult, metrics: Sequence[str]) -> list[str]:
    """Return the heading; names of metrics are escaped, since a foreign database may have any."""
    ends = [f"{metric}_{end}" for metric in metrics for end in ("low", "high")]
    return [_text(name) for name in ("trial", "state", "feasible", *result.space.parameters, *metrics, *ends)]


def _cells(result: StudyResult, metrics: Sequence[str], trial: TrialRecord) -> list[str]:
    measured = [trial.outcome.metrics.get(metric) for metric in metrics]
    parameters = [_text(trial.variant[name]) for name in result.space.parameters]
    values = [_text(None if m is None else m.value) for m in measured]
    ends = [_text(None if m is None else end) for m in measured for end in ((m.low, m.high) if m else (None, None))]
    return [str(trial.number), trial.state, _flag(trial.is_feasible), *parameters, *values, *ends]


def _text(value: Any) -> str:
    """Return a cell: all digits of a number, empty for None, text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = parameter_text(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _flag(value: bool) -> str:
    return "True" if value else "False"


def _csv(columns: list[str], rows: Iterable[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def trials_json(result: StudyResult) -> dict[str, Any]:
    """Return every trial by number, JSON-ready."""
    return {
        "study": result.name,
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in result.objectives],
        "trials": [
            {
                "trial": trial.number,
                "state": trial.state,
                "feasible": trial.is_feasible,
                "variant": trial.variant.to_json(),
                "metrics": {name: measured.to_json() for name, measured in trial.outcome.metrics.items()},
                "failure": trial.outcome.failure and trial.outcome.failure.reason,
                "artifact": trial.outcome.artifact,
            }
            for trial in sorted(result.trials, key=lambda trial: trial.number)
        ],
    }


def write_report(front: FrontView, path: Path, before_writing: Callable[[], None] = lambda: None) -> None:
    """Write the report to `path` atomically. Raise OSError, and what `before_writing` raises."""
    from explorer.views.page.html import render_offline  # here, so that tables need neither jinja2 nor plotly

    page = render_offline(front)
    before_writing()
    write_text(path, page)


def write_outputs(result: StudyResult) -> None:
    """Write the three files into `result.folder`. Raise OSError when the disk is full or read-only."""
    front = front_view(result)
    write_text(result.folder / "trials.csv", trials_csv(result))
    write_text(result.folder / "front.csv", front_csv(front))
    write_report(front, result.folder / "report.html")
