"""One trial: everything about it, JSON-ready, and its measurement as lines of text, the same in every view."""

from __future__ import annotations

from typing import Any

from explorer.measure.utilization import utilization_sentence
from explorer.observation import Anchor, Estimate, Exit, MemoryBytes, Observation, Section
from explorer.records import TrialOutcome
from explorer.study.baseline import guessing_info, warnings
from explorer.study.front import FrontView, ratios
from explorer.study.result import TrialRecord
from explorer.views.formatting import Glyphs, one_line, share_text

Lines = dict[str, str]

_SHOWN_APART = {
    "processor_share", "cold_start_ms", "memory_mib", "timing", "anchor", "phases", "exits", "sections", "build",
    "utilization",
}  # fmt: skip


def measurement_lines(trial: TrialRecord, glyphs: Glyphs, nouns: str) -> dict[str, Lines]:
    """Return sections by title, each with lines by name; none of a trial that was not measured.

    `nouns` is what the task calls its examples.
    """
    found = trial.outcome.observation
    if found is None:
        return {}
    sections = {
        "timing": _timing(found) | _threads(found, trial.variant["threads"]),
        "cold start": _cold_start(found),
        "memory, measured and calculated": _memory(found),
        "use of the machine": _utilization(found),
        "latency of each path": _paths(found, glyphs, nouns),
        **{section.title: _section(section, glyphs) for section in found.sections},
    }
    return {title: lines for title, lines in sections.items() if lines}


def trial_info(front: FrontView, trial: TrialRecord) -> dict[str, Any]:
    """Return everything about `trial`, one of the search, JSON-ready, as `explore show --json` prints it.

    An unknown violation is None. "confirmed" is None where the trial is not a finalist or the front is not confirmed.
    The baseline also has "guessing", its quality beside that of guessing, and "warnings".
    """
    result, entry, outcome = front.searched, front.entry(trial.number), trial.outcome
    failure = outcome.failure
    guessing = {"guessing": guessing_info(result), "warnings": list(warnings(result))} if trial.number == 0 else {}
    return {
        "study": result.name,
        "trial": trial.number,
        "state": trial.state,
        "feasible": trial.is_feasible,
        "on_front": entry is not None,
        "knee": entry is not None and entry.is_knee,
        "variant": trial.variant.to_json(),
        "metrics": {name: measurement.to_json() for name, measurement in outcome.metrics.items()},
        **guessing,
        "confirmed": confirmed_info(front, trial.number),
        "invalid": list(outcome.invalid),
        "ratio_to_baseline": ratios(trial, result.baseline_values()),
        "violations": {text: None if amount == float("inf") else amount for text, amount in trial.violations.items()},
        "failure": None if failure is None else {"kind": failure.kind, "reason": failure.reason},
        "stages": [{"name": s.name, "seconds": s.seconds, "cached": s.is_cached} for s in outcome.stages],
        "seconds": trial.finished - trial.started,
        "artifact": outcome.artifact,
        "details": trial_facts(outcome),
        "provenance": dict(result.provenance),
    }


def confirmed_info(front: FrontView, number: int) -> dict[str, Any] | None:
    """Return the confirmation of a finalist, JSON-ready; None for other trials.

    Without confirmed values "metrics" is None and "why" the reason.
    """
    standing = front.standings.get(number)
    if standing is None:
        return None
    trial = front.result.trial(number) if number in front.confirmed else None
    test = standing.test_accuracy
    return {
        "rounds": front.n_rounds,
        "feasible": trial is not None and trial.is_feasible,
        "metrics": None if trial is None else {name: one.to_json() for name, one in trial.outcome.metrics.items()},
        "probability": standing.probability,
        "near": standing.is_near,
        "ties": list(standing.ties),
        "test_accuracy": None if test is None else test.to_json(),
        "why": standing.why or None,
    }


def trial_facts(outcome: TrialOutcome) -> dict[str, Any]:
    """Return all that is known of a trial beyond its metrics, JSON-ready."""
    facts = {} if outcome.observation is None else outcome.observation.to_json()
    if (origin := outcome.forked_from) is not None:
        facts["forked_from"] = {"study": origin.study, "trial": origin.trial}
    if outcome.failure is not None and outcome.failure.log:
        facts["log"] = outcome.failure.log
    return facts


def further_facts(outcome: TrialOutcome) -> dict[str, Any]:
    """Return what `measurement_lines` does not show of `trial_facts`."""
    facts = trial_facts(outcome)
    build = dict(facts.get("build") or {})
    build.pop("memory_bytes", None)
    return {name: value for name, value in facts.items() if name not in _SHOWN_APART} | build


def _timing(found: Observation) -> Lines:
    timing = found.timing
    is_whole = timing.budget == "whole"
    ratio = timing.interval_ratio
    reached = "" if ratio is None else f" (within {ratio:.1%} of the median)"
    return {
        "state of the core": _state(found.anchor),
        "budget": (
            "the whole budget" if is_whole else "a quarter of the budget: it is invalid, or cannot reach the front"
        )
        + f", {timing.seconds:.2f} s timed",
        "warm-up": "steady: three slices agreed" if timing.is_steady else "NOT steady within its time limit",
        "interval": f"as narrow as was asked{reached}" if timing.is_narrow else f"NOT narrow{reached}",
        "answers while timing": f"{timing.n_answers}, compared with those of the accuracy pass"
        if timing.n_answers
        else "NOT compared: those of this artifact depend on what shares their batch",
        "processor": f"the timed thread had its core for {found.processor_share:.1%} of the time",
    }


def _state(anchor: Anchor) -> str:
    """State how much was taken in the quiet state, or that too little was."""
    quiet = f"quiet in {anchor.quiet_ratio:.0%} of the slices"
    if not anchor.excess:
        return f"{quiet}, which alone count"
    return (
        f"NOT quiet for long enough ({quiet}): the quietest count, corrected for the {anchor.excess:.0%} by which the "
        "anchor was slower, and with wider intervals"
    )


def _threads(found: Observation, asked: int) -> Lines:
    """State how many threads worked if not all did; small networks leave a runtime too little work to share."""
    n_working = found.conditions.n_working
    if n_working >= asked:
        return {}
    return {"threads": f"NOT all used: {n_working} of the {asked} asked for worked while timing"}


def _cold_start(found: Observation) -> Lines:
    parts = found.cold_start_ms
    times = {
        "process": parts.start,
        "import": parts.imports,
        "load": parts.load,
        "first answer": parts.first_answer,
        "sum": parts.total,
    }
    return {title: f"{_digits(value)} ms" for title, value in times.items()}


def _memory(found: Observation) -> Lines:
    parts = found.memory_mib
    measured = {"peak": parts.process_peak, "of it the bare runtime": parts.runtime, "of it the model": parts.model}
    lines = {title: f"{_digits(mib)} MiB, measured" for title, mib in measured.items()}
    return lines | ({} if found.build is None else _calculated(found.build.memory_bytes))


def _calculated(memory: MemoryBytes) -> Lines:
    of_one = " for one input in float32"
    return {
        "M_params": f"{_digits(memory.parameters / 2**20)} MiB, calculated",
        "M_activations": f"{_digits(memory.activations / 2**20)} MiB, calculated{of_one}",
        "M_workspace": f"{_digits(memory.workspace / 2**20)} MiB, calculated{of_one}",
        "M_total": f"{_digits(memory.total / 2**20)} MiB, calculated: their sum",
    }


def _utilization(found: Observation) -> Lines:
    used = found.utilization
    if used is None:
        return {}
    threads = f", {used.threads} threads" if used.threads != 1 else ""
    return {
        "bound by": one_line(utilization_sentence(used), 400),
        "processor time": f"{used.cpu_share:.2f} of the wall time, warming up{threads}",
    }


def paths_of(found: Observation) -> dict[str, Exit]:
    """Return the exits of the network by title, the final head last; one entry for a network without early exits."""
    n_early = len(found.exits) - 1
    return {f"exit {n}" if n <= n_early else "the final head": one for n, one in enumerate(found.exits, 1)}


def _paths(found: Observation, glyphs: Glyphs, nouns: str) -> Lines:
    paths = paths_of(found)
    if len(paths) < 2:
        return {}
    lines: Lines = {}
    for title, one in paths.items():
        time = "" if one.latency_ms is None else f"{glyphs.dot}latency {_measured(one.latency_ms, glyphs)}"
        lines[title] = f"{share_text(one.share)} of the {nouns}{time}"
    return lines


def _section(section: Section, glyphs: Glyphs) -> Lines:
    """Return the rows of a task's section by their first cell; the other cells follow their columns' names."""
    return {
        one_line(str(name)): glyphs.dot.join(
            f"{one_line(column)} {cell_text(cell)}" for column, cell in zip(section.columns[1:], cells, strict=False)
        )
        for name, *cells in section.rows
    }


def cell_text(cell: str | float) -> str:
    """Return a cell of a section: floats are ratios."""
    return f"{100 * cell:.1f} %" if isinstance(cell, float) else one_line(str(cell))


def _measured(known: Estimate, glyphs: Glyphs) -> str:
    """Return `0.535 ms (0.533–0.537, n 1,773)`."""
    has_ends = known.low is not None and known.high is not None
    ends = f"{_digits(known.low or 0.0)}{glyphs.dash}{_digits(known.high or 0.0)}, " if has_ends else ""
    return f"{_digits(known.value)} ms ({ends}n {known.n:,})"


def _digits(value: float) -> str:
    """Return three significant digits, of values from 100 on all integer digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
