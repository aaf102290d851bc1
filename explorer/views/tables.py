"""Tables for the terminal: the front, and one trial whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from explorer.records import Measurement
from explorer.study.front import FrontSummary, front_summary
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.rows import Cell, FrontRow, FrontTable, front_table, trial_info
from explorer.views.wording import (
    ASCII,
    Glyphs,
    duration_text,
    glyphs_for,
    interval_text,
    metric_title,
    one_line,
    parameter_text,
    parameter_title,
    short_unit,
    value_text,
    violation_text,
)

# Below these widths the variant is folded into one column, then the intervals and the last metrics are left out.
_WIDE_COLUMNS = 125
_MEDIUM_COLUMNS = 95
_NARROW_COLUMNS = 70
_N_NARROW_METRICS = 2
# As wide as the longest words in it: `onnxruntime`, `dynamic_int8`.
_VARIANT_COLUMNS = 12


def print_front(console: Console, result: StudyResult, summary: FrontSummary) -> None:
    """The front as a table with the baseline below it and one line that says how to read it."""
    glyphs = glyphs_for(console.encoding)
    table = front_table(result, summary, glyphs)
    console.print(_front_renderable(table, glyphs, console.width))
    console.print(Text(front_sentence(result, summary, glyphs), style="dim"))


def front_sentence(result: StudyResult, summary: FrontSummary, glyphs: Glyphs) -> str:
    """How large the front is, out of how many trials, and what the signs in its table mean."""
    counts = f"{len(result.trials)} trials: {summary.n_complete} feasible, {summary.n_infeasible} infeasible, "
    where = "".join(f" with {constraint}" for constraint in summary.where)
    volume = ""
    if summary.hypervolume_ratio is not None:
        volume = f" Hypervolume: {100 * summary.hypervolume_ratio:.1f} % of the box from the reference to the ideal."
    elif summary.hypervolume is not None:
        volume = f" Hypervolume: {summary.hypervolume:.4g}."
    knee = f" {glyphs.star} knee." if summary.knee else ""
    gains = f" n{glyphs.times}: that many times better than the baseline." if result.baseline is not None else ""
    return f"{len(summary.entries)} on the front{where} of {counts}{summary.n_failed} failed.{knee}{gains}{volume}"


def print_trial(console: Console, result: StudyResult, trial: TrialRecord) -> None:
    """One trial whole: variant, every metric with unit, interval and n, stages, details, provenance."""
    glyphs = glyphs_for(console.encoding)
    info = trial_info(result, trial, front_summary(result))
    place = ", the knee" if info["knee"] else ", on the front" if info["on_front"] else ""
    console.print(Text(f"Trial {trial.number} of {result.name}: {trial.state}{place}", style="bold"))
    if info["failure"]:
        console.print(_pairs("failure", info["failure"], glyphs))
    console.print(_pairs("variant", {name: parameter_text(value) for name, value in info["variant"].items()}, glyphs))
    console.print(_metrics(trial.outcome.metrics, glyphs))
    constraints = {text: violation_text(text, amount) for text, amount in trial.violations.items()}
    stages = {s.name: duration_text(s.seconds) + (" (cached)" if s.is_cached else "") for s in trial.outcome.stages}
    sections = {
        "constraints": constraints,
        "stages": stages,
        "details": info["details"],
        "provenance": info["provenance"],
    }
    for title, values in sections.items():
        if values:
            console.print(_pairs(title, values, glyphs))


def _front_renderable(table: FrontTable, glyphs: Glyphs, width: int) -> RenderableType:
    """The front's table, as wide as the terminal allows."""
    is_wide, is_roomy = width >= _WIDE_COLUMNS, width >= _MEDIUM_COLUMNS
    drawn = Table(box=_box(glyphs), header_style="bold", pad_edge=False, expand=False)
    drawn.add_column("trial", justify="right", no_wrap=True)
    titles = [parameter_title(name) for name in table.parameters]
    for heading in titles if is_wide else [" ".join(titles)]:
        drawn.add_column(Text(heading), overflow="fold", min_width=None if is_wide else _VARIANT_COLUMNS)
    n_metrics = len(table.metrics) if width >= _NARROW_COLUMNS else _N_NARROW_METRICS
    for metric in table.metrics[:n_metrics]:
        drawn.add_column(Text(_heading(metric)), justify="right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*_front_cells(row, glyphs, is_wide, is_roomy, n_metrics), style="bold" if row.is_knee else None)
    if table.baseline is not None:
        drawn.add_section()
        cells = _front_cells(table.baseline, glyphs, is_wide, is_roomy, n_metrics)
        drawn.add_row("baseline", *cells[1:], style="dim")
    return drawn


def _heading(metric: str) -> str:
    """A metric's title above its unit."""
    unit = short_unit(metric)
    return f"{metric_title(metric)}\n[{unit}]" if unit else metric_title(metric)


def _front_cells(row: FrontRow, glyphs: Glyphs, is_wide: bool, is_roomy: bool, n_metrics: int) -> list[Text]:
    """One row of the front's table."""
    mark = f"{glyphs.star} " if row.is_knee else ""
    variant = [Text(text) for text in row.variant] if is_wide else [Text(" ".join(row.variant))]
    metrics = (_metric_cell(cell, is_roomy) for cell in row.cells[:n_metrics])
    return [Text(f"{mark}{row.trial}"), *variant, *metrics]


def _metric_cell(cell: Cell, is_roomy: bool) -> Text:
    """A value and its gain over the baseline, then, where there is room, its interval in a quieter voice."""
    text = Text(cell.text)
    if cell.gain:
        text.append(f"{' ' if is_roomy else chr(10)}{cell.gain}", style="green" if cell.is_better else "yellow")
    if is_roomy and cell.interval:
        text.append(f"\n{cell.interval}", style="dim")
    return text


def _metrics(metrics: Mapping[str, Measurement], glyphs: Glyphs) -> RenderableType:
    """Every metric with its unit, interval and number of samples, or why it is not known."""
    table = Table(box=_box(glyphs), header_style="bold", pad_edge=False)
    for heading in ("metric", "value", "95 % interval", "n"):
        table.add_column(heading, justify="left" if heading == "metric" else "right", overflow="fold")
    unknown = []
    for name, measurement in metrics.items():
        if measurement.value is None:
            why = one_line(measurement.why or "nobody said why")
            unknown.append(Text(f"{metric_title(name)}: unknown, because {why}", style="yellow"))
        else:
            n = "" if measurement.n is None else f"{measurement.n:,}"
            table.add_row(
                metric_title(name),
                value_text(name, measurement.value),
                interval_text(name, measurement, glyphs),
                n,
            )
    # Below the table: one long reason in it would push the numbers to the far right.
    return Group(table, *unknown) if metrics else Text("No metrics.", style="dim")


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


def _box(glyphs: Glyphs) -> box.Box:
    """Lines that the terminal can show."""
    return box.ASCII2 if glyphs == ASCII else box.SIMPLE_HEAD
