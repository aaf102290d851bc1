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
from explorer.views.shown import Standing, shown_study
from explorer.views.wording import (
    Glyphs,
    gain_text,
    interval_text,
    metric_title,
    one_line,
    share_text,
    value_text,
    variant_text,
    violation_text,
)

Group = Literal["front", "near", "feasible", "infeasible", "invalid"]
"""Near: a finalist that is off the confirmed front and may belong to it."""

# The axis that is no metric: the trial's number, for studies with one objective.
TRIAL_AXIS = "trial"


@dataclass(frozen=True, slots=True)
class Point:
    """A measured trial as the figures need it. `words` is safe HTML for the hover; `reason` says in plain text why it
    is infeasible or invalid.

    `is_candidate`: it may be on the front, feasible, and confirmed where the front is. `probability` of being on the
    front and `ties` are those of a confirmed front.
    """

    trial: int
    group: Group
    is_knee: bool
    is_baseline: bool
    metrics: Mapping[str, Measurement]
    words: str
    reason: str = ""
    is_candidate: bool = True
    probability: float | None = None
    ties: tuple[int, ...] = ()

    @property
    def is_feasible(self) -> bool:
        """Whether it has a result that can be believed and satisfies the constraints."""
        return self.group not in ("infeasible", "invalid")

    def value(self, axis: str) -> float | None:
        """The trial's place on an axis, in the metric's unit; None when it is not known."""
        if axis == TRIAL_AXIS:
            return float(self.trial)
        return self.metrics[axis].value if axis in self.metrics else None


def measured_points(result: StudyResult, summary: FrontSummary) -> tuple[Point, ...]:
    """Every trial that has metrics, with confirmed values where `summary` has them."""
    shown = shown_study(result, summary)
    front = {entry.trial.number: entry for entry in summary.entries}
    parameters, baseline = varying_parameters(result.space), shown.result.baseline_values()
    metrics, candidates = shown_metrics(result), shown.candidates
    points = []
    for trial in shown.result.trials:
        if trial.outcome.metrics:
            entry, standing = front.get(trial.number), shown.standings.get(trial.number, Standing())
            group = _group(trial, entry is not None, standing)
            is_knee = entry is not None and entry.is_knee
            points.append(
                Point(
                    trial=trial.number,
                    group=group,
                    is_knee=is_knee,
                    is_baseline=trial.number == 0,
                    metrics=trial.outcome.metrics,
                    words="<br>".join(
                        [
                            f"<b>trial {trial.number}</b>, {'the knee' if is_knee else _PLACES.get(group, group)}",
                            *map(_escaped, _standing_lines(standing)),
                            *map(_escaped, _trial_lines(trial, metrics, parameters, baseline)),
                        ]
                    ),
                    reason=one_line("; ".join(trial.outcome.invalid) or ", ".join(f"not {b}" for b in trial.broken())),
                    is_candidate=trial.number in candidates,
                    probability=standing.probability,
                    ties=standing.ties,
                )
            )
    return tuple(points)


_PLACES = {"front": "on the front", "near": "near the front"}


def _group(trial: TrialRecord, is_on_front: bool, standing: Standing) -> Group:
    if is_on_front:
        return "front"
    if trial.is_feasible:
        return "near" if standing.is_near else "feasible"
    return "invalid" if trial.state == "invalid" else "infeasible"


def _escaped(line: str) -> str:
    return escape(line, quote=False)


def _standing_lines(standing: Standing) -> list[str]:
    """What the confirmation says of it."""
    lines = []
    if standing.probability is not None:
        lines.append(f"on the front with a probability of {share_text(standing.probability)}")
    if standing.ties:
        lines.append(f"a tie with trial {', '.join(map(str, standing.ties))}")
    test = standing.test_accuracy
    if test is not None and test.value is not None:
        lines.append(f"accuracy on the test split {value_text('accuracy', test.value)}")
    if standing.why:
        lines.append(f"not confirmed: {one_line(standing.why)}")
    return lines


def _trial_lines(
    trial: TrialRecord, metrics: Sequence[str], parameters: tuple[str, ...], baseline: Mapping[str, float]
) -> list[str]:
    """Variant, metrics with intervals, and what speaks against it."""
    glyphs = Glyphs()
    lines = [variant_text(trial.variant, parameters, glyphs)]
    for name in metrics:
        measurement = trial.outcome.metrics.get(name)
        if measurement is not None and measurement.value is not None:
            gain = gain_text(name, measurement.value, baseline.get(name) if trial.number else None, glyphs)
            interval = interval_text(name, measurement, glyphs)
            notes = ", ".join(note for note in (interval, gain) if note)
            lines.append(f"{metric_title(name)} {value_text(name, measurement.value)}{f' ({notes})' if notes else ''}")
    lines += [f"{one_line(text)}: {violation_text(text, amount)}" for text, amount in trial.broken().items()]
    return [*lines, *(f"not valid: {one_line(reason)}" for reason in trial.outcome.invalid)]
