"""The trials and the front as CSV, one row a trial."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from explorer.study.front import FrontEntry, FrontSummary
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.wording import parameter_text

# A cell of text that begins so is run as a formula by spreadsheets (OWASP, "CSV injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def trials_csv(result: StudyResult) -> str:
    """Every trial by number: trial, state, feasible, each parameter, each metric, then `<metric>_low`, `<metric>_high`.

    Numbers are written in full (repr); an unknown one is an empty cell.
    """
    trials = sorted(result.trials, key=lambda trial: trial.number)
    metrics = result.metric_names()
    return _csv(_columns(result, metrics), (_cells(result, metrics, trial) for trial in trials))


def front_csv(result: StudyResult, summary: FrontSummary) -> str:
    """The rows of the front, with the columns of `trials_csv` and `knee`, `probability`, `test_accuracy`, `ties`.

    Of a confirmed front the values are the confirmed ones, and `ties` are numbers of trials with spaces between them;
    of any other the last three columns are empty.
    """
    metrics = result.metric_names()
    rows = ([*_cells(result, metrics, entry.trial), *_standing(entry)] for entry in summary.entries)
    return _csv([*_columns(result, metrics), "knee", "probability", "test_accuracy", "ties"], rows)


def _standing(entry: FrontEntry) -> list[str]:
    test = None if entry.test_accuracy is None else entry.test_accuracy.value
    return [_flag(entry.is_knee), _text(entry.probability), _text(test), " ".join(map(str, entry.ties))]


def _columns(result: StudyResult, metrics: Sequence[str]) -> list[str]:
    """The heading. A database from elsewhere may call its metrics anything."""
    ends = [f"{metric}_{end}" for metric in metrics for end in ("low", "high")]
    return [_text(name) for name in ("trial", "state", "feasible", *result.space.parameters, *metrics, *ends)]


def _cells(result: StudyResult, metrics: Sequence[str], trial: TrialRecord) -> list[str]:
    """One trial's row."""
    measured = [trial.outcome.metrics.get(metric) for metric in metrics]
    parameters = [_text(getattr(trial.variant, name)) for name in result.space.parameters]
    values = [_text(None if m is None else m.value) for m in measured]
    ends = [_text(None if m is None else end) for m in measured for end in ((m.low, m.high) if m else (None, None))]
    return [str(trial.number), trial.state, _flag(trial.is_feasible), *parameters, *values, *ends]


def _text(value: Any) -> str:
    """A cell: numbers in full, nothing for what is not known, text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = parameter_text(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _flag(value: bool) -> str:
    """A boolean as pandas reads it."""
    return "True" if value else "False"


def _csv(columns: list[str], rows: Iterable[list[str]]) -> str:
    """The CSV text, one line feed a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
