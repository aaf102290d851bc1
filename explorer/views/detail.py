"""Detail: one trial whole, as the page shows it when its point is asked; JSON-ready and bounded in size."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure import intervals
from explorer.study.front import ratios
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.samples import trial_samples
from explorer.views.measurement import measurement_lines
from explorer.views.page_columns import known
from explorer.views.rows import confirmed_info, varying_parameters
from explorer.views.shown import Shown, shown_study
from explorer.views.trial_sheet import SHOWN_APART, flattened
from explorer.views.wording import (
    Glyphs,
    gain_text,
    interval_text,
    is_improvement,
    metric_title,
    metric_unit,
    one_line,
    parameter_text,
    parameter_title,
    value_text,
    violation_text,
)

_N_BINS = 48
_PERCENTS = (5, 25, 50, 75, 90, 95, 99)
# Beyond this percentile a few stragglers would flatten the histogram; they are counted apart.
_LAST_PERCENT = 99.5
_MAX_TEXT = 2000
# Parts of a trial's details that have a place of their own.
_SHOWN_APART = (*SHOWN_APART, "exit_accuracies", "class_accuracies")


def trial_detail(result: StudyResult, number: int, shown: Shown | None = None) -> dict[str, Any] | None:
    """Everything about one trial; None when there is no such trial.

    "metrics" are the confirmed ones where there are any; "searched" are then the search's, which "measurement" and
    "latency" are of, else None. `shown` is the study as it is shown, to be given by who asks for many trials.
    "latency", "exits", "classes" and "memory" are None where the stored data do not have them: "why" then has the
    reason under the same name.
    """
    trial = result.trial(number)
    if trial is None:
        return None
    shown = shown_study(result) if shown is None else shown
    now = shown.result.trial(number)
    assert now is not None
    failure, why = trial.outcome.failure, {}
    parts: dict[str, Any] = {}
    for name, part in {
        "latency": _latency(result, trial),
        "exits": _exits(trial.outcome.details),
        "classes": _classes(result, trial.outcome.details),
        "memory": _memory(trial.values()),
    }.items():
        parts[name] = None if isinstance(part, str) else part
        if isinstance(part, str):
            why[name] = part
    return {
        "trial": trial.number,
        "state": now.state,
        "is_baseline": trial.number == 0,
        "started": trial.started,
        "finished": trial.finished,
        "seconds": known(trial.finished - trial.started),
        "parameters": _parameters(result, trial),
        "metrics": _metrics(shown.result, now),
        "searched": _metrics(result, trial) if number in shown.confirmed else None,
        "confirmation": confirmed_info(shown, number),
        "invalid": [one_line(reason, _MAX_TEXT) for reason in trial.outcome.invalid],
        "measurement": [
            {"title": title, "lines": [[name, text] for name, text in lines.items()]}
            for title, lines in measurement_lines(trial, Glyphs()).items()
        ],
        "violations": [
            {"text": text, "amount": known(amount), "words": violation_text(text, amount)}
            for text, amount in now.violations.items()
        ],
        "failure": None if failure is None else {"kind": failure.kind, "reason": one_line(failure.reason, _MAX_TEXT)},
        **parts,
        "why": why,
        "stages": [
            {"name": s.name, "seconds": known(s.seconds), "is_cached": s.is_cached} for s in trial.outcome.stages
        ],
        "artifact": trial.outcome.artifact,
        "details": _texts({k: v for k, v in trial.outcome.details.items() if k not in _SHOWN_APART}),
        "provenance": _texts(result.provenance),
        "command": None if trial.outcome.artifact is None else export_command(result, number),
    }


def metrics_of(result: StudyResult, *trials: TrialRecord) -> tuple[str, ...]:
    """The metrics of `trials`, known or not, in the order of `StudyResult.metric_names`, without a look at the others:
    a report asks for hundreds of details of a study that may have 50,000 trials.
    """
    return replace(result, trials=trials).metric_names()


def export_command(result: StudyResult, number: int) -> str:
    """The command line that exports a trial's artifact, as a shell reads it."""
    is_by_name = (Path("studies") / result.name).resolve() == result.folder.resolve()
    study = result.name if is_by_name else str(result.folder.resolve())
    return f"explore export {shlex.quote(study)} --trial {number}"


def _parameters(result: StudyResult, trial: TrialRecord) -> list[dict[str, Any]]:
    varying = varying_parameters(result.space)
    return [
        {
            "name": name,
            "title": parameter_title(name),
            "text": parameter_text(getattr(trial.variant, name)),
            "is_varying": name in varying,
        }
        for name in result.space.parameters
    ]


def _metrics(result: StudyResult, trial: TrialRecord) -> list[dict[str, Any]]:
    """Every metric of it or the baseline: number, interval, words, and how it compares with the baseline."""
    baseline, glyphs = result.baseline_values(), Glyphs()
    compared, relative = ({} if trial.number == 0 else baseline), ratios(trial, baseline)
    rows = []
    for name in metrics_of(result, trial, *([] if result.baseline is None else [result.baseline])):
        m = trial.outcome.metrics.get(name)
        value = None if m is None else known(m.value)
        rows.append(
            {
                "name": name,
                "title": metric_title(name),
                "unit": metric_unit(name),
                "value": value,
                "low": None if m is None else known(m.low),
                "high": None if m is None else known(m.high),
                "n": None if m is None else m.n,
                "why": None if value is not None else _why(m.why if m is not None else None),
                "text": "" if m is None or value is None else value_text(name, value),
                "interval": "" if m is None else interval_text(name, m, glyphs),
                "ratio_to_baseline": known(relative.get(name)),
                "gain": "" if value is None else gain_text(name, value, compared.get(name), glyphs),
                "is_better": value is not None and is_improvement(name, value, compared.get(name)),
            }
        )
    return rows


def _why(text: str | None) -> str:
    return one_line(text or "it was not measured", _MAX_TEXT)


def _latency(result: StudyResult, trial: TrialRecord) -> dict[str, Any] | str:
    """The distribution of the query times, or why it is not known."""
    samples = trial_samples(result, trial)
    return samples if isinstance(samples, str) else latency_info(samples.latency_ns / 1e6)


def latency_info(times_ms: NDArray[np.float64]) -> dict[str, Any]:
    """The distribution of `times_ms` [n], n > 0: a histogram up to `_LAST_PERCENT`, percentiles with intervals."""
    last = float(np.percentile(times_ms, _LAST_PERCENT, method="inverted_cdf"))
    counts, edges = np.histogram(times_ms[times_ms <= last], bins=_N_BINS)
    percentiles = []
    for percent in _PERCENTS:
        m = intervals.percentile(times_ms, percent)
        if m.value is not None:
            percentiles.append({"percent": percent, "ms": known(m.value), "low": known(m.low), "high": known(m.high)})
    return {
        "n": len(times_ms),
        "mean_ms": known(float(times_ms.mean())),
        "min_ms": known(float(times_ms.min())),
        "max_ms": known(float(times_ms.max())),
        "percentiles": percentiles,
        "edges_ms": [known(float(edge)) for edge in edges],
        "counts": counts.tolist(),
        "n_above": int((times_ms > last).sum()),
    }


def _exits(details: Mapping[str, Any]) -> list[dict[str, Any]] | str:
    """Share of images and accuracy an exit, or why they are not known."""
    shares = _numbers(details.get("exit_shares"))
    if shares is None:
        return "the trial's record does not have the shares of its exits"
    accuracies = _numbers(details.get("exit_accuracies")) or []
    return [
        {
            "exit": place,
            "share": known(share),
            "accuracy": known(accuracies[place]) if place < len(accuracies) else None,
        }
        for place, share in enumerate(shares)
    ]


def _classes(result: StudyResult, details: Mapping[str, Any]) -> list[dict[str, Any]] | str:
    """Accuracy a class, or why it is not known."""
    accuracies = _numbers(details.get("class_accuracies"))
    if accuracies is None:
        return "the trial's record does not have the accuracy of each class"
    names = [str(name) for name in result.provenance.get("class_names", ())]
    return [
        {"name": names[place] if place < len(names) else f"class {place}", "accuracy": known(accuracy)}
        for place, accuracy in enumerate(accuracies)
    ]


def _memory(values: Mapping[str, float]) -> list[dict[str, Any]] | str:
    """The parts of the peak memory, or why they are not known."""
    peak, model = values.get("peak_memory_mib"), values.get("model_memory_mib")
    if peak is None or model is None or not 0 <= model <= peak:
        return "the memory of the process before it loaded the artifact is not known"
    return [
        {"part": "interpreter and runtime, before loading", "mib": known(peak - model)},
        {"part": "loading and running the artifact", "mib": known(model)},
    ]


def _numbers(values: Any) -> Sequence[float] | None:
    """A list of finite numbers; None for anything else."""
    if not isinstance(values, list | tuple) or not values:
        return None
    is_sound = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    return values if is_sound else None


def _texts(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Nested facts as lines of name and text."""
    return [{"name": name, "text": one_line(str(value), _MAX_TEXT)} for name, value in flattened(facts).items()]
