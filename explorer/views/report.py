"""The report: one HTML file that holds a study, its figures and what draws them, and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from explorer.files import write_text
from explorer.study.front import FrontSummary, front_summary
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.figures import front_figure, history_figure, parallel_figure, space_figure
from explorer.views.infos import FrontInfo, front_info, history_info, parallel_info, space_axes, staircase
from explorer.views.rows import front_table, shown_metrics, varying_parameters
from explorer.views.sentences import recommendation, weights_sentence
from explorer.views.tables import flattened, front_sentence
from explorer.views.theme import FIGURE_CONFIG, LOG_TICKS, axis_label, is_wide_span
from explorer.views.wording import (
    Glyphs,
    duration_text,
    gain_text,
    metric_title,
    metric_unit,
    number_text,
    one_line,
    parameter_text,
    parameter_title,
    scale_of,
    value_text,
)

# More rows than this make a browser slow; `trials.csv` has them all.
_MAX_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the report's first line: a number, what it is, and a note."""

    title: str
    text: str
    note: str


def write_report(result: StudyResult, path: Path) -> None:
    """Write the report to `path`, atomically. Raises OSError when that fails."""
    write_text(path, report_html(result))


def report_html(result: StudyResult) -> str:
    """The whole page. Every text that came from outside is escaped, in HTML by jinja2, in scripts by `tojson`."""
    summary = front_summary(result)
    info = front_info(result, summary)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explorer", "views"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = _figures(result, summary, info)
    return environment.get_template("report.html").render(
        name=result.name,
        device=result.space.device.name,
        objectives=[f"{axis_label(o.metric)}, {o.direction}d" for o in result.objectives],
        constraints=[str(constraint) for constraint in result.space.constraints],
        weights=weights_sentence(result),
        tiles=_tiles(result, summary),
        recommendation=recommendation(result, summary),
        sentence=front_sentence(result, summary, Glyphs()),
        figures=figures,
        data=_axes_data(result, info),
        table=front_table(result, summary, Glyphs()),
        headings=_headings(result),
        trials=_trial_rows(result, summary),
        n_trials=len(result.trials),
        failures=_failures(result),
        provenance={name: one_line(str(value), 400) for name, value in flattened(result.provenance).items()},
        style=_resource("report.css"),
        script=_resource("report.js"),
        plotly=Markup(get_plotlyjs()),
    )


def _figures(result: StudyResult, summary: FrontSummary, info: FrontInfo) -> dict[str, Any]:
    """The figures by the place where they stand, as Plotly's JSON; one without numbers is absent."""
    axes, history, parallel = space_axes(result), history_info(result), parallel_info(result, summary)
    drawn: dict[str, go.Figure] = {"front": front_figure(info, has_buttons=False)}
    if axes is not None:
        drawn["space"] = space_figure(info, axes)
    if history is not None:
        drawn["history"] = history_figure(history)
    if parallel is not None and len(parallel.columns) > 1:
        drawn["parallel"] = parallel_figure(parallel)
    return {name: figure.to_plotly_json() for name, figure in drawn.items()}


def _axes_data(result: StudyResult, info: FrontInfo) -> dict[str, Any]:
    """What the axis selectors need: every metric's numbers as they are shown, and the front of every pair."""
    names = [name for name in result.metric_names() if any(point.value(name) is not None for point in info.points)]
    columns = {}
    for name in names:
        found = [point.metrics.get(name) for point in info.points]
        ends = ("value", "low", "high")
        columns[name] = {
            end: [None if m is None or getattr(m, end) is None else getattr(m, end) * scale_of(name) for m in found]
            for end in ends
        }
    pairs = {f"{x}|{y}": staircase(info.points, x, y, info.directions) for x in names for y in names if x != y}
    return {
        "trials": [point.trial for point in info.points],
        "metrics": [
            {
                "name": name,
                "label": axis_label(name),
                "log": is_wide_span(columns[name]["value"]),
                "shape": "hv" if info.directions[name] == "minimize" else "vh",
            }
            for name in names
        ],
        "columns": columns,
        "stairs": pairs,
        "log_ticks": LOG_TICKS,
        "config": dict(FIGURE_CONFIG),
        "x": info.x,
        "y": info.y,
    }


def _tiles(result: StudyResult, summary: FrontSummary) -> list[Tile]:
    """The numbers that come first: the knee's objectives, the size of the front, its hypervolume."""
    tiles = []
    if summary.knee is not None:
        values, baseline = summary.knee.trial.values(), result.baseline_values()
        for objective in result.objectives[:3]:
            name = objective.metric
            gain = gain_text(name, values[name], baseline.get(name), Glyphs())
            note = f"{gain} against the baseline" if gain else ""
            text, _, per = value_text(name, values[name]).partition(" per ")
            tiles.append(Tile(f"knee: {metric_title(name)}{f' per {per} images' if per else ''}", text, note))
    front = f"of {len(result.trials)} trials"
    tiles.append(Tile("on the front", str(len(summary.entries)), front))
    if summary.hypervolume_ratio is not None:
        tiles.append(
            Tile("hypervolume", f"{100 * summary.hypervolume_ratio:.1f} %", "of the box from reference to ideal")
        )
    return tiles


def _headings(result: StudyResult) -> list[tuple[str, str, bool]]:
    """The headings of the variant's and the metrics' columns: title, unit, and whether the column holds words."""
    parameters = [(parameter_title(name), "", True) for name in varying_parameters(result.space)]
    return [*parameters, *((metric_title(name), metric_unit(name), False) for name in shown_metrics(result))]


def _trial_rows(result: StudyResult, summary: FrontSummary) -> list[dict[str, Any]]:
    """All trials as cells `(text, value to sort by, is_word)`; those of the front go first when there are too many."""
    front = {entry.trial.number for entry in summary.entries}
    parameters, metrics = varying_parameters(result.space), shown_metrics(result)
    chosen = sorted(result.trials, key=lambda trial: (trial.number not in front, trial.number))[:_MAX_ROWS]
    return [
        {
            "trial": trial.number,
            "state": "front" if trial.number in front else trial.state,
            "cells": _trial_cells(trial, parameters, metrics),
        }
        for trial in sorted(chosen, key=lambda trial: trial.number)
    ]


def _trial_cells(
    trial: TrialRecord, parameters: Sequence[str], metrics: Sequence[str]
) -> list[tuple[str, str | float, bool]]:
    """One trial's cells after number and state: text, what to sort by, and whether the column holds words."""
    cells: list[tuple[str, str | float, bool]] = []
    for name in parameters:
        value = getattr(trial.variant, name)
        cells.append((parameter_text(value), value if isinstance(value, int | float) else parameter_text(value), True))
    values = trial.values()
    for name in metrics:
        cells.append((number_text(name, values[name]), values[name], False) if name in values else ("–", "", False))
    seconds = trial.finished - trial.started
    return [*cells, (duration_text(seconds), seconds, False)]


def _failures(result: StudyResult) -> list[tuple[int, str, str]]:
    """Every trial that failed or broke a constraint: number, what happened, in which words."""
    found = []
    for trial in result.trials:
        if trial.outcome.failure is not None:
            found.append((trial.number, "failed", one_line(trial.outcome.failure.reason, 400)))
        elif trial.broken():
            found.append((trial.number, "infeasible", "not " + ", not ".join(map(one_line, trial.broken()))))
    return found[:_MAX_ROWS]


def _resource(name: str) -> Markup:
    """A file of this package that goes into the page as it is."""
    return Markup(files("explorer.views").joinpath(name).read_text(encoding="utf-8"))
