"""The choice of a trial in a few lines: what it is, why, and what its neighbors on the front would give instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from explorer.study.result import StudyResult, TrialRecord
from explorer.views.rows import varying_parameters
from explorer.views.shown import shown_study
from explorer.views.wording import glyphs_for, metric_title, one_line, scale_of, value_text, variant_text


def print_choice(
    console: Console,
    result: StudyResult,
    trial: TrialRecord,
    how: str,
    objections: Sequence[str],
    neighbors: Sequence[tuple[int, Mapping[str, float]]],
) -> None:
    """Values are the confirmed ones where there are any. `neighbors` are trials, each with its objectives' values there
    minus those here.
    """
    glyphs, shown = glyphs_for(console.encoding), shown_study(result)
    console.print(Text(f"Trial {trial.number} of {one_line(result.name)}: {how}", style="bold"))
    for objection in objections:
        console.print(Text(f"  it {objection}", style="yellow"))
    console.print(f"  {variant_text(trial.variant, varying_parameters(result.space), glyphs)}")
    found = shown.result.trial(trial.number) if trial.number in shown.confirmed else None
    values = trial.values() if found is None else found.values()
    names = [o.metric for o in result.objectives if o.metric in values]
    console.print(f"  {glyphs.dot.join(f'{metric_title(name)} {value_text(name, values[name])}' for name in names)}")
    if found is not None:
        console.print(Text(f"  confirmed in {shown.n_rounds} rounds", style="dim"))
    for number, differences in neighbors:
        console.print(Text(f"  {neighbor_text(number, differences)}", style="dim"))


def neighbor_text(number: int, differences: Mapping[str, float]) -> str:
    """`trial 12 instead: 0.80 points more accuracy, 0.11 ms more latency`."""
    parts = [f"{_amount(name, difference)} {metric_title(name)}" for name, difference in differences.items()]
    return f"trial {number} instead: {', '.join(parts)}"


def _amount(name: str, difference: float) -> str:
    if difference == 0:
        return "the same"
    word = "more" if difference > 0 else "less"
    if scale_of(name) != 1.0:
        return f"{abs(difference) * scale_of(name):.2f} points {word}"
    return f"{value_text(name, abs(difference))} {word}"
