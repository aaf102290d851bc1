"""Measurement: how a trial was measured, in lines for people.

What its times, its memory and its use of the machine are made of, and whether they can be believed. What a trial's
record does not have has no line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.measure.validity import MAX_DISPERSION
from explorer.study.result import TrialRecord
from explorer.views.wording import Glyphs, one_line, share_text

Lines = dict[str, str]

_COLD_START = {"start": "process", "import": "import", "load": "load", "first_answer": "first answer"}
_CALCULATED = {"parameters": "M_params", "activations": "M_activations", "workspace": "M_workspace"}
_OF_ONE = dict.fromkeys(("M_activations", "M_workspace"), " for one image in float32")


def measurement_lines(trial: TrialRecord, glyphs: Glyphs) -> dict[str, Lines]:
    """Sections by title, each with its lines by name; none without lines. Damaged details have no lines either."""
    details = trial.outcome.details
    sections = {
        "timing": _timing(details, glyphs) | _threads(details, trial.variant.threads),
        "cold start": _cold_start(details, glyphs),
        "memory, measured and calculated": _memory(details),
        "use of the machine": _utilization(details),
        "latency of each path": _exits(details, glyphs),
    }
    return {title: lines for title, lines in sections.items() if lines}


def _timing(details: Mapping[str, Any], glyphs: Glyphs) -> Lines:
    timing, anchor = _mapping(details.get("timing")), _mapping(details.get("anchor"))
    lines: Lines = {}
    if (raw := _measured(timing.get("raw_latency_ms"), "ms", glyphs)) and timing:
        slowness = _number(anchor.get("slowness"))
        if slowness is not None:
            lines["as the clock had it"] = f"{raw}; the anchor took {slowness:.3f} of its reference time"
        else:
            lines["as the clock had it"] = raw
    if (own := _measured(anchor, "ms", glyphs)) and (reference := _number(anchor.get("reference"))) is not None:
        lines["anchor"] = f"{own}, reference {_digits(reference)} ms"
        dispersion, sensitivity = _number(anchor.get("dispersion")), _number(anchor.get("sensitivity"))
        if dispersion is not None:
            lines["anchor"] += f"; its windows differ by {dispersion:.1%}"
        if dispersion is not None and sensitivity is not None:
            lines["anchor"] += (
                f", of which the variant feels {sensitivity:.0%} (at most {MAX_DISPERSION:.0%} may be felt)"
            )
    elif anchor.get("why"):
        lines["anchor"] = f"none: {one_line(str(anchor['why']))}; times are corrected by the pulse alone"
    if "budget" in timing:
        whole = (
            "the whole budget" if timing["budget"] == "whole" else "a quarter of the budget: it is far from the front"
        )
        seconds = _number(timing.get("seconds"))
        lines["budget"] = whole if seconds is None else f"{whole}, {seconds:.2f} s timed"
    if "is_steady" in timing:
        lines["warm-up"] = "steady: three windows agreed" if timing["is_steady"] else "NOT steady within its time limit"
    if "is_narrow" in timing:
        ratio = _number(timing.get("interval_ratio"))
        reached = "" if ratio is None else f" (within {ratio:.1%} of the median)"
        lines["interval"] = f"as narrow as was asked{reached}" if timing["is_narrow"] else f"NOT narrow{reached}"
    if (n_answers := _number(timing.get("n_answers"))) is not None:
        lines["answers while timing"] = (
            f"{n_answers:.0f}, compared with those of the accuracy pass"
            if n_answers
            else "NOT compared: those of this artifact depend on the images that share their batch"
        )
    if (share := _number(details.get("processor_share"))) is not None:
        lines["processor"] = f"the timed thread had its core for {share:.1%} of the time"
    return lines


def _threads(details: Mapping[str, Any], asked: int) -> Lines:
    """Nothing where all worked. Small networks leave a runtime too little to share out: no fault of the measurement."""
    n_working = _number(_mapping(details.get("conditions")).get("n_working"))
    if n_working is None or n_working >= asked:
        return {}
    return {"threads": f"NOT all used: {n_working:.0f} of the {asked} asked for worked while timing"}


def _cold_start(details: Mapping[str, Any], glyphs: Glyphs) -> Lines:
    parts = _mapping(details.get("cold_start_ms"))
    known = {title: _number(parts.get(name)) for name, title in _COLD_START.items()}
    times = [value for value in known.values() if value is not None]
    if len(times) < len(_COLD_START):
        return {}
    return {
        **{title: f"{_digits(value)} ms" for title, value in known.items() if value is not None},
        "sum": f"{_digits(sum(times))} ms",
    }


def _memory(details: Mapping[str, Any]) -> Lines:
    """Measured beside calculated: the two need not agree, and both are shown."""
    lines: Lines = {}
    measured, calculated = _mapping(details.get("memory_mib")), _mapping(details.get("memory_bytes"))
    for name, title in {"peak": "peak", "runtime": "of it the bare runtime", "model": "of it the model"}.items():
        if (mib := _number(measured.get(name))) is not None:
            lines[title] = f"{_digits(mib)} MiB, measured"
    parts = {name: _number(calculated.get(key)) for key, name in _CALCULATED.items()}
    if all(value is not None for value in parts.values()):
        for name, value in parts.items():
            lines[name] = f"{_digits((value or 0.0) / 2**20)} MiB, calculated{_OF_ONE.get(name, '')}"
        total = sum(value or 0.0 for value in parts.values())
        lines["M_total"] = f"{_digits(total / 2**20)} MiB, calculated: their sum"
    return lines


def _utilization(details: Mapping[str, Any]) -> Lines:
    found = _mapping(details.get("utilization"))
    lines: Lines = {}
    if found.get("sentence"):
        lines["bound by"] = one_line(str(found["sentence"]), 400)
    if (share := _number(found.get("cpu_share"))) is not None:
        threads = found.get("threads")
        lines["processor time"] = f"{share:.2f} of the wall time, warming up" + (
            f", {threads} threads" if threads not in (None, 1) else ""
        )
    return lines


def _exits(details: Mapping[str, Any], glyphs: Glyphs) -> Lines:
    """The distribution of times is a mixture of these paths."""
    shares, times = _sequence(details.get("exit_shares")), _sequence(details.get("exit_latencies_ms"))
    if len(shares) < 2:
        return {}
    lines: Lines = {}
    for place, share in enumerate(shares):
        text = _measured(times[place], "ms", glyphs) if place < len(times) else ""
        title = f"exit {place + 1}" if place < len(shares) - 1 else "the last"
        known = _number(share)
        if known is not None:
            lines[title] = f"{share_text(known)} of the images" + (f"{glyphs.dot}latency {text}" if text else "")
    return lines


def _measured(values: Any, unit: str, glyphs: Glyphs) -> str:
    """`0.535 ms (0.533–0.537, n 1,773)`; nothing where it is not known."""
    found = _mapping(values)
    value, low, high = (_number(found.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return ""
    notes = [] if low is None or high is None else [f"{_digits(low)}{glyphs.dash}{_digits(high)}"]
    n = found.get("n")
    notes += [f"n {n:,}"] if isinstance(n, int) else []
    return f"{_digits(value)} {unit}" + (f" ({', '.join(notes)})" if notes else "")


def _digits(value: float) -> str:
    """Three digits, and whole numbers in full."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _mapping(values: Any) -> Mapping[str, Any]:
    return values if isinstance(values, Mapping) else {}


def _sequence(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else ()


def _number(value: Any) -> float | None:
    """A finite number; None for anything else that a record may hold."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
