"""The output files of a study: trials.csv, front.csv, report.html, written atomically; and its trials as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from explorer.records import Measurement
from explorer.study.front import FrontView, front_view
from explorer.study.result import StudyResult, TrialRecord
from explorer.system.files import write_text
from explorer.views.formatting import parameter_text

# Spreadsheets run a text cell that begins with one of these as a formula (OWASP, "CSV injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def trial_table(result: StudyResult, trials: Sequence[TrialRecord]) -> dict[str, list[Any]]:
    """Return columns by name: trial, state, feasible, each parameter, each metric, `<metric>_low`, `<metric>_high`.

    They have the metrics of `result`. Unknown numbers are None; a width per stage is a tuple.
    """
    unknown = Measurement(None)
    names = result.metric_names()
    measured = {name: [trial.outcome.metrics.get(name, unknown) for trial in trials] for name in names}
    ends = {f"{name}_{end}": [getattr(one, end) for one in measured[name]] for name in names for end in ("low", "high")}
    return {
        "trial": [trial.number for trial in trials],
        "state": [trial.state for trial in trials],
        "feasible": [trial.is_feasible for trial in trials],
        **{name: [trial.variant[name] for trial in trials] for name in result.space.parameters},
        **{name: [one.value for one in measured[name]] for name in names},
        **ends,
    }


def front_table(front: FrontView) -> dict[str, list[Any]]:
    """Return the front with the columns of `trial_table` and `knee`, `probability`, `test_accuracy`, `ties`.

    A confirmed front has confirmed values; without a confirmation the last three are None, None and empty tuples.
    """
    tests = [entry.test_accuracy for entry in front.entries]
    return {
        **trial_table(front.searched, [entry.trial for entry in front.entries]),
        "knee": [entry.is_knee for entry in front.entries],
        "probability": [entry.probability for entry in front.entries],
        "test_accuracy": [None if test is None else test.value for test in tests],
        "ties": [entry.ties for entry in front.entries],
    }


def trials_csv(result: StudyResult) -> str:
    """Return every trial as CSV with the columns of `trial_table`; an unknown number is an empty cell."""
    return _csv(trial_table(result, sorted(result.trials, key=lambda trial: trial.number)))


def front_csv(front: FrontView) -> str:
    """Return the front as CSV with the columns of `front_table`; `ties` are trial numbers separated by spaces."""
    table = front_table(front)
    return _csv(table | {"ties": [" ".join(map(str, ties)) for ties in table["ties"]]})


def _csv(table: Mapping[str, list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, table))  # names of metrics too: a foreign database may have any
    writer.writerows(map(_cell, row) for row in zip(*table.values(), strict=True))
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a cell: all digits of a number, empty for None, text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = parameter_text(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


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
