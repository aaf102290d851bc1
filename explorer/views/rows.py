"""Rows of the tables as numbers and words, before anybody draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.records import Measurement
from explorer.space.values import SearchSpace
from explorer.study.front import FrontEntry, FrontSummary, ratios
from explorer.study.result import StudyResult, TrialRecord
from explorer.views.shown import Shown, confirmed_values, shown_study
from explorer.views.wording import (
    Glyphs,
    gain_text,
    interval_text,
    is_improvement,
    number_text,
    parameter_text,
    share_text,
    ties_text,
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


_NOTHING = Cell(None, "", "", "")


@dataclass(frozen=True, slots=True)
class FrontRow:
    """One trial of the front's table; `variant` and `cells` follow the table's parameters and metrics.

    Of a confirmed front: `probability` of being on it, `ties`, and `test_accuracy`; else they are empty.
    """

    trial: int
    is_knee: bool
    is_baseline: bool
    variant: tuple[str, ...]
    cells: tuple[Cell, ...]
    probability: str = ""
    ties: str = ""
    test_accuracy: Cell = _NOTHING


@dataclass(frozen=True, slots=True)
class FrontTable:
    """The front's table: its columns and its rows; `baseline` is there for comparison and may also be a row.

    Of a confirmed front (`is_confirmed`), `near` has the finalists that are off it and may belong to it.
    """

    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[FrontRow, ...]
    baseline: FrontRow | None
    near: tuple[FrontRow, ...] = ()
    is_confirmed: bool = False


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
    """The table of a front, beside the baseline; all of its values are confirmed ones where the front's are."""
    parameters, metrics = varying_parameters(result.space), shown_metrics(result)
    shown = confirmed_values(result, summary)
    baseline, tests = shown.baseline, {} if result.confirmation is None else result.confirmation.test_accuracies

    def row(entry: FrontEntry) -> FrontRow:
        trial = entry.trial
        is_baseline = baseline is not None and trial.number == baseline.number
        compared = {} if is_baseline else shown.baseline_values()
        return FrontRow(
            trial=trial.number,
            is_knee=entry.is_knee,
            is_baseline=is_baseline,
            variant=tuple(parameter_text(getattr(trial.variant, name)) for name in parameters),
            cells=tuple(_cell(trial.outcome.metrics.get(metric), metric, compared, glyphs) for metric in metrics),
            probability="" if entry.probability is None else share_text(entry.probability),
            ties=ties_text(entry.ties),
            test_accuracy=_cell(entry.test_accuracy, "accuracy", {}, glyphs) if summary.is_confirmed else _NOTHING,
        )

    return FrontTable(
        parameters=parameters,
        metrics=metrics,
        rows=tuple(row(entry) for entry in summary.entries),
        baseline=None if baseline is None else row(FrontEntry(baseline, False, {}, test_accuracy=tests.get(0))),
        near=tuple(row(entry) for entry in summary.near),
        is_confirmed=summary.is_confirmed,
    )


def trial_info(result: StudyResult, trial: TrialRecord, summary: FrontSummary) -> dict[str, Any]:
    """One trial whole, JSON-ready, as `explore show --json` prints it. A violation that is not known is None.

    `trial` is one of `result`, as the search measured it; "confirmed" has what the confirmation found of it, None
    where it is no finalist or the front of `summary` is not confirmed.
    """
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
        "confirmed": confirmed_info(shown_study(result, summary), trial.number),
        "invalid": list(outcome.invalid),
        "ratio_to_baseline": ratios(trial, result.baseline_values()),
        "violations": {text: None if amount == float("inf") else amount for text, amount in trial.violations.items()},
        "failure": None if failure is None else {"kind": failure.kind, "reason": failure.reason},
        "stages": [{"name": s.name, "seconds": s.seconds, "cached": s.is_cached} for s in outcome.stages],
        "seconds": trial.finished - trial.started,
        "artifact": outcome.artifact,
        "details": dict(outcome.details),
        "provenance": dict(result.provenance),
    }


def confirmed_info(shown: Shown, number: int) -> dict[str, Any] | None:
    """What the confirmation found of a finalist, JSON-ready; None for a trial that is none.

    Without confirmed values "metrics" is None; "why" then has the reason, or says which constraint they break.
    """
    standing = shown.standings.get(number)
    if standing is None:
        return None
    trial = shown.result.trial(number) if number in shown.confirmed else None
    test = standing.test_accuracy
    return {
        "rounds": shown.n_rounds,
        "feasible": trial is not None and trial.is_feasible,
        "metrics": None if trial is None else {name: one.to_json() for name, one in trial.outcome.metrics.items()},
        "probability": standing.probability,
        "near": standing.is_near,
        "ties": list(standing.ties),
        "test_accuracy": None if test is None else test.to_json(),
        "why": standing.why or None,
    }


def _cell(measurement: Measurement | None, metric: str, baseline: Mapping[str, float], glyphs: Glyphs) -> Cell:
    """A metric in words, compared with `baseline` where that has it; one that is not known is a dash."""
    if measurement is None or measurement.value is None:
        return Cell(None, glyphs.dash, "", "")
    return Cell(
        value=measurement.value,
        text=number_text(metric, measurement.value),
        interval=interval_text(metric, measurement, glyphs),
        gain=gain_text(metric, measurement.value, baseline.get(metric), glyphs),
        is_better=is_improvement(metric, measurement.value, baseline.get(metric)),
    )
