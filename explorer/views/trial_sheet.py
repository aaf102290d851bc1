"""One trial whole for the terminal: what it is, what was measured of it and how, and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from explorer.records import Measurement
from explorer.study.front import front_summary
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.measurement import measurement_lines
from explorer.views.rows import trial_info
from explorer.views.shown import Shown, Standing, shown_study
from explorer.views.tables import table_box
from explorer.views.wording import (
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

# Parts of a trial's details that have lines of their own, of explorer.views.measurement.
SHOWN_APART = (
    "timing",
    "anchor",
    "cold_start_ms",
    "memory_mib",
    "memory_bytes",
    "utilization",
    "exit_shares",
    "exit_latencies_ms",
    "processor_share",
    "phases",
)


def print_trial(console: Console, result: StudyResult, trial: TrialRecord) -> None:
    """One trial whole: variant, every metric with unit, interval and n, how it was measured, provenance.

    Of a confirmed finalist the confirmed values stand beside the search's. `trial` is one of `result`.
    """
    glyphs = glyphs_for(console.encoding)
    summary = front_summary(result)
    shown, info = shown_study(result, summary), trial_info(result, trial, summary)
    place = ", the knee" if info["knee"] else ", on the front" if info["on_front"] else ""
    console.print(Text(f"Trial {trial.number} of {result.name}: {trial.state}{place}", style="bold"))
    for reason in trial.outcome.invalid:
        console.print(Text(f"INVALID: {one_line(reason, 400)}", style="bold red"))
    if info["failure"]:
        console.print(_pairs("failure", info["failure"], glyphs))
    console.print(_pairs("variant", {name: parameter_text(value) for name, value in info["variant"].items()}, glyphs))
    if trial.number in shown.standings:
        console.print(_pairs("confirmation", _standing(shown, shown.standings[trial.number], glyphs), glyphs))
    known = shown.result.trial(trial.number) if trial.number in shown.confirmed else None
    console.print(_metrics(trial.outcome.metrics, {} if known is None else known.outcome.metrics, glyphs))
    sections = {
        **measurement_lines(trial, glyphs),
        "constraints": {text: violation_text(text, amount) for text, amount in trial.violations.items()},
        "stages": {
            f"{i + 1} {s.name}": duration_text(s.seconds) + (" (cached)" if s.is_cached else "")
            for i, s in enumerate(trial.outcome.stages)
        },
        "details": {name: value for name, value in info["details"].items() if name not in SHOWN_APART},
        "provenance": info["provenance"],
    }
    for title, values in sections.items():
        if values:
            console.print(_pairs(title, values, glyphs))


def _standing(shown: Shown, standing: Standing, glyphs: Glyphs) -> dict[str, str]:
    """What the confirmation says of a finalist."""
    lines = {"rounds": f"{shown.n_rounds}, a fresh process each"}
    if standing.why:
        lines["NOT confirmed"] = standing.why
    if standing.probability is not None:
        lines["on the front with a probability of"] = share_text(standing.probability)
    if standing.ties:
        lines["cannot be told from trials"] = ties_text(standing.ties)
    test = standing.test_accuracy
    if test is not None:
        known = (
            ""
            if test.value is None
            else f"{value_text('accuracy', test.value)} ({interval_text('accuracy', test, glyphs)})"
        )
        lines["accuracy on the test split, which chose nothing"] = (
            known or f"unknown, because {one_line(test.why or '')}"
        )
    return lines


def _metrics(
    metrics: Mapping[str, Measurement], confirmed: Mapping[str, Measurement], glyphs: Glyphs
) -> RenderableType:
    """Every metric with its unit, interval and number of samples, or why it is not known; confirmed values first."""
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
    """A heading, and names beside values; deeper mappings are flattened with dots."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in flattened(values).items():
        table.add_row(Text(f"  {one_line(name)}"), Text(_value(value, glyphs)))
    return Group(Text(title, style="bold"), table)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _value(value: Any, glyphs: Glyphs) -> str:
    """A JSON-ready value in one line."""
    if value is None:
        return glyphs.dash
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_value(part, glyphs) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(value), limit=400)
