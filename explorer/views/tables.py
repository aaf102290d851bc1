"""The front as a table for the terminal, as wide as that allows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from explorer.study.front import FrontSummary
from explorer.study.result import StudyResult
from explorer.views.rows import Cell, FrontRow, FrontTable, front_table
from explorer.views.wording import (
    ASCII,
    Glyphs,
    glyphs_for,
    metric_title,
    one_line,
    parameter_title,
    short_unit,
)

# Below these widths the variant is folded into one column, then the intervals and the last metrics are left out.
_WIDE_COLUMNS = 125
_MEDIUM_COLUMNS = 95
_NARROW_COLUMNS = 70
_N_NARROW_METRICS = 2
# As wide as the longest words in it: `onnxruntime`, `dynamic_int8`.
_VARIANT_COLUMNS = 12
_TEST = "test accuracy"


def print_front(console: Console, result: StudyResult, summary: FrontSummary) -> None:
    """The front as a table with the baseline below it and one line that says how to read it."""
    glyphs = glyphs_for(console.encoding)
    table = front_table(result, summary, glyphs)
    console.print(_front_renderable(table, glyphs, console.width))
    console.print(Text(front_sentence(result, summary, glyphs), style="dim"))
    for one in summary.unconfirmed:
        console.print(Text(f"Trial {one.trial} is not confirmed: {one_line(one.why)}", style="yellow"))
    if summary.left_out:
        console.print(Text(left_out_sentence(summary.left_out), style="yellow"))


def left_out_sentence(numbers: Sequence[int]) -> str:
    """Which trials may belong to the front, and were too many to be measured again."""
    named = ", ".join(map(str, numbers))
    if len(numbers) == 1:
        return f"1 more trial may belong to the front and was not measured again: trial {named}."
    return f"{len(numbers)} more trials may belong to the front and were not measured again: trials {named}."


def front_sentence(result: StudyResult, summary: FrontSummary, glyphs: Glyphs) -> str:
    """How large the front is, out of how many trials, and what the signs in its table mean."""
    counts = f"{len(result.trials)} trials: {summary.n_complete} feasible, {summary.n_infeasible} infeasible, "
    where = "".join(f" with {constraint}" for constraint in summary.where)
    near = f" Below them {len(summary.near)} near it: each may belong to it." if summary.near else ""
    ties = " =: trials that it cannot be told from." if any(entry.ties for entry in summary.entries) else ""
    invalid = f", {summary.n_invalid} invalid" if summary.n_invalid else ""
    volume = ""
    if summary.hypervolume_ratio is not None:
        volume = f" Hypervolume: {100 * summary.hypervolume_ratio:.1f} % of the box from the reference to the ideal."
    elif summary.hypervolume is not None:
        volume = f" Hypervolume: {summary.hypervolume:.4g}."
    knee = f" {glyphs.star} knee." if summary.knee else ""
    gains = f" n{glyphs.times}: that many times better than the baseline." if result.baseline is not None else ""
    failed = f"{summary.n_failed} failed{invalid}."
    return f"{len(summary.entries)} on the front{where} of {counts}{failed}{near}{knee}{gains}{ties}{volume}"


def _front_renderable(table: FrontTable, glyphs: Glyphs, width: int) -> RenderableType:
    """The front's table, as wide as the terminal allows."""
    is_wide, is_roomy = width >= _WIDE_COLUMNS, width >= _MEDIUM_COLUMNS
    drawn = Table(box=table_box(glyphs), header_style="bold", pad_edge=False, expand=False)
    drawn.add_column("trial", justify="right", no_wrap=True)
    titles = [parameter_title(name) for name in table.parameters]
    for heading in titles if is_wide else [" ".join(titles)]:
        drawn.add_column(Text(heading), overflow="fold", min_width=None if is_wide else _VARIANT_COLUMNS)
    if table.is_confirmed:
        drawn.add_column(Text("on the\nfront"), justify="right", overflow="fold")
    shown = _columns(table, width)
    for name in shown:
        heading = "test\naccuracy" if name == _TEST else _heading(name)
        drawn.add_column(Text(heading), justify="right", overflow="fold")
    cells = partial(_front_cells, table=table, shown=shown, glyphs=glyphs, is_wide=is_wide, is_roomy=is_roomy)
    for row in table.rows:
        drawn.add_row(*cells(row), style="bold" if row.is_knee else None)
    for rows, name in ((table.near, ""), ([table.baseline] if table.baseline else [], "baseline")):
        if rows:
            drawn.add_section()
        for row in rows:
            first, *others = cells(row)
            drawn.add_row(Text(name) if name else first, *others, style="dim")
    return drawn


def _columns(table: FrontTable, width: int) -> list[str]:
    """The metrics that are shown; of a confirmed front the accuracy on the test split beside that on validation."""
    names = list(table.metrics) if width >= _NARROW_COLUMNS else list(table.metrics[:_N_NARROW_METRICS])
    if table.is_confirmed and width >= _MEDIUM_COLUMNS:
        place = names.index("accuracy") + 1 if "accuracy" in names else len(names)
        names.insert(place, _TEST)
    return names


def _heading(metric: str) -> str:
    """A metric's title above its unit."""
    unit = short_unit(metric)
    return f"{metric_title(metric)}\n[{unit}]" if unit else metric_title(metric)


def _front_cells(
    row: FrontRow, table: FrontTable, shown: Sequence[str], glyphs: Glyphs, is_wide: bool, is_roomy: bool
) -> list[Text]:
    """One row of the front's table."""
    mark = f"{glyphs.star} " if row.is_knee else ""
    variant = [Text(text) for text in row.variant] if is_wide else [Text(" ".join(row.variant))]
    cells = {**dict(zip(table.metrics, row.cells, strict=True)), _TEST: row.test_accuracy}
    sure = [Text("\n".join(filter(None, (row.probability, row.ties))))] if table.is_confirmed else []
    return [Text(f"{mark}{row.trial}"), *variant, *sure, *(_metric_cell(cells[name], is_roomy) for name in shown)]


def _metric_cell(cell: Cell, is_roomy: bool) -> Text:
    """A value and its gain over the baseline, then, where there is room, its interval in a quieter voice."""
    text = Text(cell.text)
    if cell.gain:
        text.append(f"{' ' if is_roomy else chr(10)}{cell.gain}", style="green" if cell.is_better else "yellow")
    if is_roomy and cell.interval:
        text.append(f"\n{cell.interval}", style="dim")
    return text


def table_box(glyphs: Glyphs) -> box.Box:
    """Lines that the terminal can show."""
    return box.ASCII2 if glyphs == ASCII else box.SIMPLE_HEAD
