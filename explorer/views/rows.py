"""Rows of the tables as numbers and words, before anybody draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.records import Measurement
from explorer.space.values import SearchSpace
from explorer.study.front import FrontSummary, ratios
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.wording import (
    Glyphs,
    gain_text,
    interval_text,
    is_improvement,
    number_text,
    parameter_text,
)

_USUAL_METRICS = ("accuracy", "latency_ms", "peak_memory_mib", "cost_usd_per_million")


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one trial: the number without unit, its 95 % interval, how it compares with the baseline."""

    value: float | None
    text: str
    interval: str
    gain: str
    is_better: bool = False


@dataclass(frozen=True, slots=True)
class FrontRow:
    """One trial of the front's table; `variant` and `cells` follow the table's parameters and metrics."""

    trial: int
    is_knee: bool
    is_baseline: bool
    variant: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class FrontTable:
    """The front's table: its columns and its rows; `baseline` is there for comparison and may also be a row."""

    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[FrontRow, ...]
    baseline: FrontRow | None


def varying_parameters(space: SearchSpace) -> tuple[str, ...]:
    """The parameters that have something to choose, or in which the baseline differs from what the space fixes."""
    baseline = space.baseline()
    return tuple(
        name
        for name, parameter in space.parameters.items()
        if not parameter.is_fixed or parameter.values[0] != getattr(baseline, name)
    )


def shown_metrics(result: StudyResult) -> tuple[str, ...]:
    """The objectives, then those usual metrics that the trials have."""
    present = result.metric_names()
    objectives = [objective.metric for objective in result.objectives]
    return (*objectives, *(name for name in _USUAL_METRICS if name in present and name not in objectives))


def front_table(result: StudyResult, summary: FrontSummary, glyphs: Glyphs) -> FrontTable:
    """The table of a front, beside the baseline."""
    parameters, metrics = varying_parameters(result.space), shown_metrics(result)
    baseline = result.baseline
    baseline_values = result.baseline_values()

    def row(trial: TrialRecord, is_knee: bool) -> FrontRow:
        is_baseline = baseline is not None and trial.number == baseline.number
        compared = {} if is_baseline else baseline_values
        return FrontRow(
            trial=trial.number,
            is_knee=is_knee,
            is_baseline=is_baseline,
            variant=tuple(parameter_text(getattr(trial.variant, name)) for name in parameters),
            cells=tuple(_cell(trial, metric, compared, glyphs) for metric in metrics),
        )

    return FrontTable(
        parameters=parameters,
        metrics=metrics,
        rows=tuple(row(entry.trial, entry.is_knee) for entry in summary.entries),
        baseline=None if baseline is None else row(baseline, False),
    )


def trial_info(result: StudyResult, trial: TrialRecord, summary: FrontSummary) -> dict[str, Any]:
    """One trial whole, JSON-ready, as `explore show --json` prints it. A violation that is not known is None."""
    entry = next((entry for entry in summary.entries if entry.trial.number == trial.number), None)
    outcome = trial.outcome
    failure = outcome.failure
    return {
        "study": result.name,
        "trial": trial.number,
        "state": trial.state,
        "feasible": trial.is_feasible,
        "on_front": entry is not None,
        "knee": entry is not None and entry.is_knee,
        "variant": trial.variant.to_json(),
        "metrics": {name: measurement.to_json() for name, measurement in outcome.metrics.items()},
        "ratio_to_baseline": ratios(trial, result.baseline_values()),
        "violations": {text: None if amount == float("inf") else amount for text, amount in trial.violations.items()},
        "failure": None if failure is None else {"kind": failure.kind, "reason": failure.reason},
        "stages": [{"stage": s.name, "seconds": s.seconds, "cached": s.is_cached} for s in outcome.stages],
        "seconds": trial.finished - trial.started,
        "artifact": outcome.artifact,
        "details": dict(outcome.details),
        "provenance": dict(result.provenance),
    }


def _cell(trial: TrialRecord, metric: str, baseline: Mapping[str, float], glyphs: Glyphs) -> Cell:
    """One metric of one trial in words, compared with `baseline` where that has it; an unknown one is a dash."""
    measurement = trial.outcome.metrics.get(metric, Measurement.unknown("it was not measured"))
    if measurement.value is None:
        return Cell(None, glyphs.dash, "", "")
    return Cell(
        value=measurement.value,
        text=number_text(metric, measurement.value),
        interval=interval_text(metric, measurement, glyphs),
        gain=gain_text(metric, measurement.value, baseline.get(metric), glyphs),
        is_better=is_improvement(metric, measurement.value, baseline.get(metric)),
    )
