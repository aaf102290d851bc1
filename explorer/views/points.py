"""Points: the measured trials as every figure needs them, with the words that they say when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from explorer.records import Measurement
from explorer.study.front import FrontSummary
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.rows import shown_metrics, varying_parameters
from explorer.views.wording import (
    Glyphs,
    gain_text,
    interval_text,
    metric_title,
    one_line,
    value_text,
    variant_text,
    violation_text,
)

Group = Literal["front", "feasible", "infeasible"]

# The axis that is no metric: the trial's number, for studies with one objective.
TRIAL_AXIS = "trial"


@dataclass(frozen=True, slots=True)
class Point:
    """A measured trial as the figures need it. `words` is safe HTML for the hover."""

    trial: int
    group: Group
    is_knee: bool
    is_baseline: bool
    metrics: Mapping[str, Measurement]
    words: str

    def value(self, axis: str) -> float | None:
        """The trial's place on an axis, in the metric's unit; None when it is not known."""
        if axis == TRIAL_AXIS:
            return float(self.trial)
        return self.metrics[axis].value if axis in self.metrics else None


def measured_points(result: StudyResult, summary: FrontSummary) -> tuple[Point, ...]:
    """Every trial that has metrics."""
    front = {entry.trial.number: entry for entry in summary.entries}
    parameters, baseline = varying_parameters(result.space), result.baseline_values()
    shown = shown_metrics(result)
    points = []
    for trial in result.trials:
        if trial.outcome.metrics:
            entry = front.get(trial.number)
            group: Group = "front" if entry else "feasible" if trial.is_feasible else "infeasible"
            points.append(
                Point(
                    trial=trial.number,
                    group=group,
                    is_knee=entry is not None and entry.is_knee,
                    is_baseline=trial.number == 0,
                    metrics=trial.outcome.metrics,
                    words=_hover(trial, group, shown, parameters, baseline, entry is not None and entry.is_knee),
                )
            )
    return tuple(points)


def _hover(
    trial: TrialRecord,
    group: Group,
    metrics: Sequence[str],
    parameters: tuple[str, ...],
    baseline: Mapping[str, float],
    is_knee: bool,
) -> str:
    """What a point says when it is asked; everything but the tags is escaped."""
    glyphs = Glyphs()
    place = "the knee" if is_knee else {"front": "on the front"}.get(group, group)
    lines = [
        f"<b>trial {trial.number}</b>, {place}",
        escape(variant_text(trial.variant, parameters, glyphs), quote=False),
    ]
    for name in metrics:
        measurement = trial.outcome.metrics.get(name)
        if measurement is not None and measurement.value is not None:
            gain = gain_text(name, measurement.value, baseline.get(name) if trial.number else None, glyphs)
            interval = interval_text(name, measurement, glyphs)
            notes = ", ".join(note for note in (interval, gain) if note)
            words = f"{metric_title(name)} {value_text(name, measurement.value)}{f' ({notes})' if notes else ''}"
            lines.append(escape(words, quote=False))
    for text, amount in trial.broken().items():
        lines.append(escape(f"{one_line(text)}: {violation_text(text, amount)}", quote=False))
    return "<br>".join(lines)
