"""Metrics, variants and durations in the words and digits that every view uses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.objectives import METRICS, Direction
from explorer.records import Measurement, Variant

_TITLES = {
    "accuracy": "accuracy",
    "latency_ms": "latency",
    "latency_mean_ms": "mean latency",
    "latency_p90_ms": "p90 latency",
    "latency_p95_ms": "p95 latency",
    "latency_p99_ms": "p99 latency",
    "throughput_per_s": "throughput",
    "cold_start_ms": "cold start",
    "peak_memory_mib": "peak memory",
    "model_memory_mib": "model memory",
    "artifact_size_mib": "artifact size",
    "n_parameters": "parameters",
    "mega_macs": "compute",
    "energy_mj": "energy",
    "cost_usd_per_million": "cost",
}
_UNITS = {"ratio": "%", "1/s": "images/s", "count": "", "10^6 MACs": "MMACs", "USD": "$ per million"}
_PARAMETERS = {"pruning_ratio": "pruning", "exit_threshold": "exit", "batch_size": "batch"}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs that a terminal can show."""

    star: str = "★"
    times: str = "×"
    dot: str = " · "
    dash: str = "–"
    minus: str = "−"
    bar_done: str = "━"
    bar_left: str = "─"


ASCII = Glyphs(star="*", times="x", dot=", ", dash="-", minus="-", bar_done="#", bar_left=".")


def glyphs_for(encoding: str | None, environ: Mapping[str, str] = os.environ) -> Glyphs:
    """Typographic signs where the encoding has them and the locale is not plain C; else ASCII.

    Python itself turns the C locale into UTF-8, hence the look at what the user set.
    """
    locale = environ.get("LC_ALL") or environ.get("LANG") or ""
    if locale in ("C", "POSIX"):
        return ASCII
    try:
        "".join(getattr(Glyphs(), name) for name in Glyphs.__slots__).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return Glyphs()


def metric_title(name: str) -> str:
    """What people call a metric."""
    return _TITLES.get(name, name.replace("_", " "))


def metric_unit(name: str) -> str:
    """The unit as it is written after a value; empty for counts and for metrics that nobody described."""
    unit = METRICS[name].unit if name in METRICS else ""
    return _UNITS.get(unit, unit)


def metric_label(name: str) -> str:
    """Title and unit: `latency [ms]`."""
    unit = metric_unit(name)
    return f"{metric_title(name)} [{unit}]" if unit else metric_title(name)


def short_unit(name: str) -> str:
    """The unit for a narrow heading."""
    return metric_unit(name).replace("$ per million", "$/M")


def better_direction(name: str) -> Direction:
    """The direction in which a metric is better; minimize for one that nobody described."""
    return METRICS[name].direction if name in METRICS else "minimize"


def scale_of(name: str) -> float:
    """What a value is multiplied by before it is shown: 100 for a ratio, which is shown in percent."""
    return 100.0 if name in METRICS and METRICS[name].unit == "ratio" else 1.0


def number_text(name: str, value: float) -> str:
    """A metric's value without its unit: percent with two decimals, counts in full, the rest with three digits."""
    shown = value * scale_of(name)
    if scale_of(name) != 1.0:
        return f"{shown:.2f}"
    if abs(shown) >= 100:
        return f"{shown:,.0f}"
    return f"{shown:#.3g}" if abs(shown) >= 0.001 else f"{shown:.3g}"


def value_text(name: str, value: float) -> str:
    """A metric's value with its unit; money has its sign in front."""
    unit = metric_unit(name)
    if unit.startswith("$"):
        return f"${number_text(name, value)}{unit[1:]}"
    return f"{number_text(name, value)} {unit}".rstrip()


def interval_text(name: str, measurement: Measurement, glyphs: Glyphs) -> str:
    """`90.40–92.00`, or nothing for a metric without an interval."""
    if measurement.low is None or measurement.high is None:
        return ""
    return f"{number_text(name, measurement.low)}{glyphs.dash}{number_text(name, measurement.high)}"


def share_text(share: float) -> str:
    """A probability or a share in percent; what is not quite certain never rounds to 0 or 100 %."""
    if 0.995 <= share < 1.0:
        return "> 99 %"
    return "< 1 %" if 0.0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


def ties_text(trials: Sequence[int]) -> str:
    """`= 12, 31`; nothing without ties."""
    return f"= {', '.join(map(str, trials))}" if trials else ""


def gain_text(name: str, value: float, baseline: float | None, glyphs: Glyphs) -> str:
    """How a value compares with the baseline's: points of accuracy, or `5.3×` where larger is better.

    Empty when there is nothing to compare with.
    """
    if baseline is None:
        return ""
    if scale_of(name) != 1.0:
        points = (value - baseline) * scale_of(name)
        return f"{'+' if points >= 0 else glyphs.minus}{abs(points):.2f}"
    over, under = (value, baseline) if better_direction(name) == "maximize" else (baseline, value)
    if under <= 0 or over <= 0:
        return ""
    ratio = over / under
    return f"{ratio:,.0f}{glyphs.times}" if ratio >= 100 else f"{ratio:#.2g}".rstrip(".") + glyphs.times


def is_improvement(name: str, value: float, baseline: float | None) -> bool:
    """Whether a value is strictly better than the baseline's."""
    if baseline is None:
        return False
    return value > baseline if better_direction(name) == "maximize" else value < baseline


def violation_text(constraint: str, amount: float) -> str:
    """`holds by 298 MiB`, `broken by 12.0 MiB`, for a constraint's text and its violation in the metric's unit."""
    if amount == float("inf"):
        return "cannot be judged: the metric is not known"
    metric = constraint.split(" ", 1)[0]
    return f"{'broken' if amount > 0 else 'holds'} by {value_text(metric, abs(amount))}"


def parameter_title(name: str) -> str:
    """What people call a parameter."""
    return _PARAMETERS.get(name, name)


def parameter_text(value: Any) -> str:
    """A parameter's value; a width per stage is joined by slashes."""
    if isinstance(value, tuple | list):
        return "/".join(parameter_text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def variant_text(variant: Variant, names: tuple[str, ...], glyphs: Glyphs) -> str:
    """A variant in one line: those of its parameters that `names` lists; names speak for themselves, numbers do not."""
    words = []
    for name in names:
        value = getattr(variant, name)
        text = parameter_text(value)
        words.append(text if isinstance(value, str) and text != "none" else f"{parameter_title(name)} {text}")
    return glyphs.dot.join(words)


def duration_text(seconds: float) -> str:
    """`0.3 s`, `18 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def one_line(text: str, limit: int = 200) -> str:
    """Text of others (a reason, a path) without control codes and line breaks, at most `limit` characters."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."
