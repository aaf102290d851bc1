"""The details of one trial for the page: JSON-ready and bounded in size."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer import intervals
from explorer.observation import Observation, Section
from explorer.study.front import FrontView, ratios
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.samples import trial_samples
from explorer.views.formatting import (
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
    varying_parameters,
    violation_text,
)
from explorer.views.page.columns import known
from explorer.views.terminal.trial_sheet import flattened
from explorer.views.trial import cell_text, confirmed_info, further_facts, measurement_lines, paths_of

_N_BINS = 48
_PERCENTS = (5, 25, 50, 75, 90, 95, 99)
# Beyond this percentile a few outliers would flatten the histogram; they are counted separately.
_LAST_PERCENT = 99.5
_MAX_TEXT = 2000


def trial_detail(front: FrontView, number: int) -> dict[str, Any] | None:
    """Return everything about one trial; None when there is no such trial.

    "metrics" are the confirmed ones where there are any; "searched" then has those of the search, to which
    "measurement" and "latency" belong, else None. "latency" and "memory" are None where the stored data lack
    them; "why" then has the reason under the same name, as for missing "sections" (`section_info`).
    """
    result, trial, now = front.searched, front.searched.trial(number), front.result.trial(number)
    if trial is None or now is None:
        return None
    failure, observation, why = trial.outcome.failure, trial.outcome.observation, {}
    parts: dict[str, Any] = {}
    for name, part in {"latency": _latency(result, trial), "memory": _memory(trial.values())}.items():
        parts[name] = None if isinstance(part, str) else part
        if isinstance(part, str):
            why[name] = part
    if observation is None:
        why[f"where {result.task.noun[1]} leave"] = "the trial was not measured"
    sections = [] if observation is None else [_paths(result, observation), *observation.sections]
    return {
        "trial": trial.number,
        "state": now.state,
        "is_baseline": trial.number == 0,
        "started": trial.started,
        "finished": trial.finished,
        "seconds": known(trial.finished - trial.started),
        "parameters": _parameters(result, trial),
        "metrics": _metrics(front.result, now),
        "searched": _metrics(result, trial) if number in front.confirmed else None,
        "confirmation": confirmed_info(front, number),
        "invalid": [one_line(reason, _MAX_TEXT) for reason in trial.outcome.invalid],
        "measurement": [
            {"title": title, "lines": [[name, text] for name, text in lines.items()]}
            for title, lines in measurement_lines(trial, Glyphs(), result.task.noun[1]).items()
        ],
        "violations": [
            {"text": text, "amount": known(amount), "words": violation_text(text, amount)}
            for text, amount in now.violations.items()
        ],
        "failure": None if failure is None else {"kind": failure.kind, "reason": one_line(failure.reason, _MAX_TEXT)},
        **parts,
        "sections": [section_info(section) for section in sections],
        "why": why,
        "stages": [
            {"name": s.name, "seconds": known(s.seconds), "is_cached": s.is_cached} for s in trial.outcome.stages
        ],
        "artifact": trial.outcome.artifact,
        "details": _texts(further_facts(trial.outcome)),
        "provenance": _texts(result.provenance),
        "command": None if trial.outcome.artifact is None else export_command(result, number),
    }


def metrics_of(result: StudyResult, *trials: TrialRecord) -> tuple[str, ...]:
    """Return the metrics of `trials`, known or not, in the order of `StudyResult.metric_names`.

    Other trials are not visited: a report has hundreds of details of a study with up to 50,000 trials.
    """
    return replace(result, trials=trials).metric_names()


def export_command(result: StudyResult, number: int) -> str:
    """Return the command line that exports a trial, quoted for a shell."""
    is_by_name = (Path("studies") / result.name).resolve() == result.folder.resolve()
    study = result.name if is_by_name else str(result.folder.resolve())
    return f"explore export {shlex.quote(study)} --trial {number}"


def _parameters(result: StudyResult, trial: TrialRecord) -> list[dict[str, Any]]:
    varying = varying_parameters(result.space)
    return [
        {
            "name": name,
            "title": parameter_title(name),
            "text": parameter_text(trial.variant[name]),
            "is_varying": name in varying,
        }
        for name in result.space.parameters
    ]


def _metrics(result: StudyResult, trial: TrialRecord) -> list[dict[str, Any]]:
    """Return every metric of the trial or the baseline: value, interval, texts, and the gain over the baseline."""
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
    """Return the distribution of the query times, or the reason why it is not known."""
    samples = trial_samples(result, trial)
    return samples if isinstance(samples, str) else latency_info(samples.latency_ns / 1e6)


def latency_info(times_ms: NDArray[np.float64]) -> dict[str, Any]:
    """Return a histogram of `times_ms` [n], n > 0, up to `_LAST_PERCENT`, and percentiles with intervals, in ms."""
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


def section_info(section: Section) -> dict[str, Any]:
    """Return a section, JSON-ready: {"kind": "bars" | "table", "title", "columns", "rows": [[text]], "shares"}.

    It is drawn as bars where the second cell of every row is a ratio, which is then in "shares"; else as a table.
    """
    shares = [row[1] for row in section.rows if len(row) > 1 and isinstance(row[1], float)]
    is_bars = len(shares) == len(section.rows)
    return {
        "kind": "bars" if is_bars else "table",
        "title": section.title,
        "columns": list(section.columns),
        "rows": [[cell_text(cell) for cell in row] for row in section.rows],
        "shares": [known(share) for share in shares] if is_bars else None,
    }


def _paths(result: StudyResult, found: Observation) -> Section:
    """Return the share of examples and the quality at each exit of the network."""
    task = result.task
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (title, one.share, *([] if one.quality is None else [one.quality])) for title, one in paths_of(found).items()
    )
    return Section(f"Where {task.noun[1]} leave", ("exit", "share", task.main_metric.title), rows)


def _memory(values: Mapping[str, float]) -> list[dict[str, Any]] | str:
    """Return the parts of the peak memory in MiB, or the reason why they are not known."""
    peak, model = values.get("peak_memory_mib"), values.get("model_memory_mib")
    if peak is None or model is None or not 0 <= model <= peak:
        return "the memory of the process before it loaded the artifact is not known"
    return [
        {"part": "interpreter and runtime, before loading", "mib": known(peak - model)},
        {"part": "loading and running the artifact", "mib": known(model)},
    ]


def _texts(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "text": one_line(str(value), _MAX_TEXT)} for name, value in flattened(facts).items()]
