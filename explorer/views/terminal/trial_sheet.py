"""The sheet of one trial for the terminal: variant, metrics, measurement, validity, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from explorer.records import Measurement
from explorer.study.front import FrontView, Standing
from explorer.study.result import TrialRecord
from explorer.views.formatting import (
    Glyphs,
    duration_text,
    glyphs_for,
    interval_text,
    metric_title,
    one_line,
    parameter_text,
    share_text,
    ties_text,
    value_text,
    violation_text,
)
from explorer.views.terminal.tables import print_baseline, table_box
from explorer.views.trial import further_facts, measurement_lines, trial_info


def print_trial(console: Console, front: FrontView, trial: TrialRecord) -> None:
    """Print the variant of a trial of the search, every metric with interval and n, its measurement and provenance.

    A confirmed finalist has confirmed values beside those of the search.
    """
    glyphs, result, info = glyphs_for(console.encoding), front.searched, trial_info(front, trial)
    place = ", the knee" if info["knee"] else ", on the front" if info["on_front"] else ""
    console.print(Text(f"Trial {trial.number} of {result.name}: {trial.state}{place}", style="bold"))
    for reason in trial.outcome.invalid:
        console.print(Text(f"INVALID: {one_line(reason, 400)}", style="bold red"))
    if trial.number == 0:
        print_baseline(console, result)
    if info["failure"]:
        console.print(_pairs("failure", info["failure"], glyphs))
    console.print(_pairs("variant", {name: parameter_text(value) for name, value in info["variant"].items()}, glyphs))
    if trial.number in front.standings:
        console.print(_pairs("confirmation", _standing(front, front.standings[trial.number], glyphs), glyphs))
    known = front.result.trial(trial.number) if trial.number in front.confirmed else None
    console.print(_metrics(trial.outcome.metrics, {} if known is None else known.outcome.metrics, glyphs))
    sections = {
        **measurement_lines(trial, glyphs, result.task.noun[1]),
        "constraints": {text: violation_text(text, amount) for text, amount in trial.violations.items()},
        "stages": {
            f"{i + 1} {s.name}": duration_text(s.seconds) + (" (cached)" if s.is_cached else "")
            for i, s in enumerate(trial.outcome.stages)
        },
        "details": further_facts(trial.outcome),
        # the baseline's sentence has the references
        "provenance": {name: value for name, value in info["provenance"].items() if name != "references"},
    }
    for title, values in sections.items():
        if values:
            console.print(_pairs(title, values, glyphs))


def _standing(front: FrontView, standing: Standing, glyphs: Glyphs) -> dict[str, str]:
    lines = {"rounds": f"{front.n_rounds}, a fresh process each"}
    if standing.why:
        lines["NOT confirmed"] = standing.why
    if standing.probability is not None:
        lines["on the front with a probability of"] = share_text(standing.probability)
    if standing.ties:
        lines["cannot be told from trials"] = ties_text(standing.ties)
    test, quality = standing.test_accuracy, front.searched.task.main_metric
    if test is not None:
        lines[f"{quality.title} on the test split, which chose nothing"] = (
            f"unknown, because {one_line(test.why or '')}"
            if test.value is None
            else f"{value_text(quality.name, test.value)} ({interval_text(quality.name, test, glyphs)})"
        )
    return lines


def _metrics(
    metrics: Mapping[str, Measurement], confirmed: Mapping[str, Measurement], glyphs: Glyphs
) -> RenderableType:
    """Return a table of every metric with interval and n, confirmed values first, and the reasons of unknown ones."""
    table = Table(box=table_box(glyphs), header_style="bold", pad_edge=False)
    columns = ["confirmed", "95 % interval", "n", "the search's"] if confirmed else ["value"]
    for heading in ("metric", *columns, "95 % interval", "n"):
        table.add_column(heading, justify="left" if heading == "metric" else "right", overflow="fold")
    unknown = []
    for name in dict.fromkeys([*confirmed, *metrics]):
        searched, again = metrics.get(name), confirmed.get(name)
        known = [one for one in (searched, again) if one is not None and one.value is not None]
        if not known:
            why = one_line((searched.why if searched else None) or "nobody said why")
            unknown.append(Text(f"{metric_title(name)}: unknown, because {why}", style="yellow"))
        else:
            cells = [*(_cells(name, again, glyphs) if confirmed else []), *_cells(name, searched, glyphs)]
            table.add_row(metric_title(name), *cells)
    # Below the table: one long reason in it would push the numbers to the far right.
    return Group(table, *unknown) if metrics else Text("No metrics.", style="dim")


def _cells(name: str, measurement: Measurement | None, glyphs: Glyphs) -> list[str]:
    if measurement is None or measurement.value is None:
        return [glyphs.dash, "", ""]
    n = "" if measurement.n is None else f"{measurement.n:,}"
    return [value_text(name, measurement.value), interval_text(name, measurement, glyphs), n]


def _pairs(title: str, values: Mapping[str, Any], glyphs: Glyphs) -> RenderableType:
    """Return a heading with names and values below; nested mappings are flattened with dots."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in flattened(values).items():
        table.add_row(Text(f"  {one_line(name)}"), Text(_value(value, glyphs)))
    return Group(Text(title, style="bold"), table)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _value(value: Any, glyphs: Glyphs) -> str:
    if value is None:
        return glyphs.dash
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_value(part, glyphs) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(value), limit=400)
