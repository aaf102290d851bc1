"""The front as a table for the terminal, adapted to its width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from explorer.records import Measurement
from explorer.study.baseline import warnings
from explorer.study.front import FrontEntry, FrontView
from explorer.study.result import StudyResult
from explorer.views.formatting import (
    ASCII,
    MAX_SENTENCE,
    Glyphs,
    baseline_said,
    displayed_metrics,
    gain_text,
    glyphs_for,
    interval_text,
    is_improvement,
    metric_title,
    number_text,
    one_line,
    parameter_text,
    parameter_title,
    share_text,
    short_unit,
    states_text,
    ties_text,
    varying_parameters,
)

# Below these widths the variant is folded into one column, then the intervals and the last metrics are left out.
_WIDE_COLUMNS = 125
_MEDIUM_COLUMNS = 95
_NARROW_COLUMNS = 70
_N_NARROW_METRICS = 2
# As wide as the longest words in it: `onnxruntime`, `dynamic_int8`.
_VARIANT_COLUMNS = 12


def print_front(console: Console, front: FrontView) -> None:
    """Print the front as a table with the baseline below it, and a line that explains it."""
    glyphs = glyphs_for(console.encoding)
    console.print(_front_table(front, glyphs, console.width))
    console.print(Text(front_sentence(front, glyphs), style="dim"))
    print_baseline(console, front.searched)
    for one in front.unconfirmed:
        console.print(Text(f"Trial {one.trial} is not confirmed: {one_line(one.why)}", style="yellow"))
    if front.left_out:
        console.print(Text(left_out_sentence(front.left_out), style="yellow"))


def print_baseline(console: Console, result: StudyResult) -> None:
    """Print the baseline's quality against guessing, its examples, and warnings."""
    if said := baseline_said(result):
        console.print(Text(said, style="dim"))
    for warning in warnings(result):
        console.print(Text(one_line(warning, MAX_SENTENCE), style="bold red"))


def left_out_sentence(numbers: Sequence[int]) -> str:
    """Return a sentence about the trials that may belong to the front and were not measured again."""
    trials = f"{len(numbers)} more trials" if len(numbers) > 1 else "1 more trial"
    named = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    were = "were" if len(numbers) > 1 else "was"
    return f"{trials} may belong to the front and {were} not measured again: {named}."


def front_sentence(front: FrontView, glyphs: Glyphs) -> str:
    """Return the size of the front, the counts of trials by state, and what the signs in the table mean."""
    result = front.searched
    where = "".join(f" with {constraint}" for constraint in front.where)
    near = f" Below them {len(front.near)} near it: each may belong to it." if front.near else ""
    ties = " =: trials that it cannot be told from." if any(entry.ties for entry in front.entries) else ""
    volume = ""
    if front.hypervolume_ratio is not None:
        volume = f" Hypervolume: {100 * front.hypervolume_ratio:.1f} % of the box from the reference to the ideal."
    elif front.hypervolume is not None:
        volume = f" Hypervolume: {front.hypervolume:.4g}."
    knee = f" {glyphs.star} knee." if front.knee else ""
    gains = f" n{glyphs.times}: that many times better than the baseline." if result.baseline is not None else ""
    trials = f"{len(front.entries)} on the front{where} of {len(result.trials)} trials: {states_text(front.counts)}."
    return f"{trials}{near}{knee}{gains}{ties}{volume}"


def _front_table(front: FrontView, glyphs: Glyphs, width: int) -> RenderableType:
    parameters = varying_parameters(front.searched.space)
    titles = [parameter_title(name) for name in parameters]
    is_wide = width >= _WIDE_COLUMNS
    drawn = Table(box=table_box(glyphs), header_style="bold", pad_edge=False, expand=False)
    drawn.add_column("trial", justify="right", no_wrap=True)
    for heading in titles if is_wide else [" ".join(titles)]:
        drawn.add_column(Text(heading), overflow="fold", min_width=None if is_wide else _VARIANT_COLUMNS)
    if front.is_confirmed:
        drawn.add_column(Text("on the\nfront"), justify="right", overflow="fold")
    columns = _metric_columns(front, width)
    for metric, is_test in columns:
        drawn.add_column(Text(_heading(metric, is_test)), justify="right", overflow="fold")
    baseline = front.result.baseline
    compared = front.result.baseline_values()

    def cells(entry: FrontEntry, name: str = "") -> list[Text]:
        trial = entry.trial
        variant = [parameter_text(trial.variant[parameter]) for parameter in parameters]
        against = {} if baseline is not None and trial.number == baseline.number else compared
        return [
            Text(name or f"{f'{glyphs.star} ' if entry.is_knee else ''}{trial.number}"),
            *map(Text, variant if is_wide else [" ".join(variant)]),
            *([_sure(entry)] if front.is_confirmed else []),
            *(
                _metric_cell(metric, entry.test_accuracy, {}, glyphs, width)
                if is_test
                else _metric_cell(metric, trial.outcome.metrics.get(metric), against, glyphs, width)
                for metric, is_test in columns
            ),
        ]

    for entry in front.entries:
        drawn.add_row(*cells(entry), style="bold" if entry.is_knee else None)
    drawn.add_section()
    for entry in front.near:
        drawn.add_row(*cells(entry), style="dim")
    drawn.add_section()
    if baseline is not None:
        test = front.standings[0].test_accuracy if 0 in front.standings else None
        drawn.add_row(*cells(FrontEntry(baseline, False, {}, test_accuracy=test), "baseline"), style="dim")
    return drawn


def _metric_columns(front: FrontView, width: int) -> list[tuple[str, bool]]:
    """Return the metrics that fit, each with whether it is on the test split.

    A confirmed front has the quality on the test split beside that on the validation split.
    """
    names = displayed_metrics(front.searched)
    columns = [(name, False) for name in (names if width >= _NARROW_COLUMNS else names[:_N_NARROW_METRICS])]
    if front.is_confirmed and width >= _MEDIUM_COLUMNS:
        quality = front.searched.task.main_metric.name
        columns.insert(names.index(quality) + 1 if quality in names else len(names), (quality, True))
    return columns


def _heading(metric: str, is_test: bool) -> str:
    if is_test:
        return f"test\n{metric_title(metric)}"
    unit = short_unit(metric)
    return f"{metric_title(metric)}\n[{unit}]" if unit else metric_title(metric)


def _sure(entry: FrontEntry) -> Text:
    """Return the probability of being on the front, and the ties."""
    probability = "" if entry.probability is None else share_text(entry.probability)
    return Text("\n".join(filter(None, (probability, ties_text(entry.ties)))))


def _metric_cell(
    metric: str, measured: Measurement | None, baseline: Mapping[str, float], glyphs: Glyphs, width: int
) -> Text:
    """Return a value and its gain over the baseline, with its dimmed interval below where there is room."""
    if measured is None or measured.value is None:
        return Text(glyphs.dash)
    is_roomy = width >= _MEDIUM_COLUMNS
    text = Text(number_text(metric, measured.value))
    if gain := gain_text(metric, measured.value, baseline.get(metric), glyphs):
        is_better = is_improvement(metric, measured.value, baseline.get(metric))
        text.append(f"{' ' if is_roomy else chr(10)}{gain}", style="green" if is_better else "yellow")
    if is_roomy and (interval := interval_text(metric, measured, glyphs)):
        text.append(f"\n{interval}", style="dim")
    return text


def table_box(glyphs: Glyphs) -> box.Box:
    """Return a box style that the terminal can show."""
    return box.ASCII2 if glyphs == ASCII else box.SIMPLE_HEAD
