"""Text of metrics, variants, durations and studies, and which columns are shown: the same in every view."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.metrics import METRICS, Direction
from explorer.parameters import PARAMETERS
from explorer.records import Measurement, TrialState, Variant
from explorer.space.values import SearchSpace
from explorer.study.baseline import baseline_sentence, input_sentence
from explorer.study.result import StudyResult

_UNITS = {"ratio": "%", "1/s": "inputs/s", "count": "", "10^6 MACs": "MMACs", "USD": "$ per million"}
_USUAL_METRICS = ("latency_ms", "peak_memory_mib", "cost_usd_per_million")


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters that a terminal can show."""

    star: str = "★"
    times: str = "×"
    dot: str = " · "
    dash: str = "–"
    minus: str = "−"
    bar_done: str = "━"
    bar_left: str = "─"


ASCII = Glyphs(star="*", times="x", dot=", ", dash="-", minus="-", bar_done="#", bar_left=".")


def glyphs_for(encoding: str | None, environ: Mapping[str, str] = os.environ) -> Glyphs:
    """Return typographic characters where the encoding has them and the locale is not C, else ASCII.

    The locale is read from the environment because Python replaces the C locale by UTF-8.
    """
    locale = environ.get("LC_ALL") or environ.get("LANG") or ""
    if locale in ("C", "POSIX"):
        return ASCII
    try:
        "".join(getattr(Glyphs(), name) for name in Glyphs.__slots__).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return Glyphs()


def usual_metrics(result: StudyResult) -> tuple[str, ...]:
    """Return the metrics that every view shows where a study has them: the main quality metric, then costs."""
    return (result.task.main_metric.name, *_USUAL_METRICS)


def displayed_metrics(result: StudyResult) -> tuple[str, ...]:
    """Return the objectives, then those of the usual metrics that some trial has."""
    objectives = [objective.metric for objective in result.objectives]
    present = result.metric_names()
    return tuple(dict.fromkeys([*objectives, *(name for name in usual_metrics(result) if name in present)]))


def varying_parameters(space: SearchSpace) -> tuple[str, ...]:
    """Return the parameters with more than one value, or with a fixed value that is not the baseline's."""
    baseline = space.baseline()
    return tuple(
        name
        for name, parameter in space.parameters.items()
        if not parameter.is_fixed or parameter.values[0] != baseline[name]
    )


def metric_title(name: str) -> str:
    """Return the title of a metric."""
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


def metric_unit(name: str) -> str:
    """Return the unit that follows a value; empty for counts and for unknown metrics."""
    unit = METRICS[name].unit if name in METRICS else ""
    return _UNITS.get(unit, unit)


def metric_label(name: str) -> str:
    """Return title and unit: `latency [ms]`."""
    unit = metric_unit(name)
    return f"{metric_title(name)} [{unit}]" if unit else metric_title(name)


def short_unit(name: str) -> str:
    """Return the unit for a narrow heading."""
    return metric_unit(name).replace("$ per million", "$/M")


def better_direction(name: str) -> Direction:
    """Return the direction in which a metric is better; minimize for an unknown one."""
    return METRICS[name].direction if name in METRICS else "minimize"


def scale_of(name: str) -> float:
    """Return the factor between stored and displayed value: 100 for a ratio, which is displayed in percent."""
    return 100.0 if name in METRICS and METRICS[name].unit == "ratio" else 1.0


def number_text(name: str, value: float) -> str:
    """Return a value without its unit: percent with two decimals, values of 100 and more as integers, others with
    three significant digits.
    """
    shown = value * scale_of(name)
    if scale_of(name) != 1.0:
        return f"{shown:.2f}"
    if abs(shown) >= 100:
        return f"{shown:,.0f}"
    return f"{shown:#.3g}" if abs(shown) >= 0.001 else f"{shown:.3g}"


def value_text(name: str, value: float) -> str:
    """Return a value with its unit; the dollar sign comes first."""
    unit = metric_unit(name)
    if unit.startswith("$"):
        return f"${number_text(name, value)}{unit[1:]}"
    return f"{number_text(name, value)} {unit}".rstrip()


def interval_text(name: str, measurement: Measurement, glyphs: Glyphs) -> str:
    """Return `90.40–92.00`, or an empty text without an interval."""
    if measurement.low is None or measurement.high is None:
        return ""
    return f"{number_text(name, measurement.low)}{glyphs.dash}{number_text(name, measurement.high)}"


def share_text(share: float) -> str:
    """Return a probability in percent; values strictly between 0 and 1 never round to 0 or 100 %."""
    if 0.995 <= share < 1.0:
        return "> 99 %"
    return "< 1 %" if 0.0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


def ties_text(trials: Sequence[int]) -> str:
    """Return `= 12, 31`, or an empty text without ties."""
    return f"= {', '.join(map(str, trials))}" if trials else ""


def gain_text(name: str, value: float, baseline: float | None, glyphs: Glyphs) -> str:
    """Return the gain over the baseline: percentage points of a ratio, else `5.3×`, where larger is better.

    Empty without a baseline, and where one of the two values is not positive.
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
    """Return whether a value is strictly better than the baseline's."""
    if baseline is None:
        return False
    return value > baseline if better_direction(name) == "maximize" else value < baseline


def violation_text(constraint: str, amount: float) -> str:
    """Return `holds by 298 MiB` or `broken by 12.0 MiB` for a constraint and its violation in the metric's unit."""
    if amount == float("inf"):
        return "cannot be judged: the metric is not known"
    metric = constraint.split(" ", 1)[0]
    return f"{'broken' if amount > 0 else 'holds'} by {value_text(metric, abs(amount))}"


def parameter_title(name: str) -> str:
    """Return the title of a parameter; an unknown one's is its name."""
    return (PARAMETERS[name].title if name in PARAMETERS else "") or name


def parameter_text(value: Any) -> str:
    """Return the text of a parameter's value; sequences are joined by slashes."""
    if isinstance(value, tuple | list):
        return "/".join(parameter_text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def variant_text(variant: Variant, names: tuple[str, ...], glyphs: Glyphs) -> str:
    """Return the parameters `names` of a variant in one line; numbers and `none` follow their parameter's title."""
    words = []
    for name in names:
        value = variant[name]
        text = parameter_text(value)
        words.append(text if isinstance(value, str) and text != "none" else f"{parameter_title(name)} {text}")
    return glyphs.dot.join(words)


def states_text(counts: Mapping[TrialState, int]) -> str:
    """Return `4 feasible, 1 infeasible, 0 failed`, and the number of invalid trials where there are any."""
    n_invalid = counts["invalid"]
    text = f"{counts['complete']} feasible, {counts['infeasible']} infeasible, {counts['failed']} failed"
    return f"{text}, {n_invalid} invalid" if n_invalid else text


def duration_text(seconds: float) -> str:
    """Return `0.3 s`, `18 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = max(0, round(seconds))
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def one_line(text: str, limit: int = 200) -> str:
    """Return untrusted text (a reason, a path) without control codes and line breaks, at most `limit` characters."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


MAX_SENTENCE = 2000


def weights_sentence(result: StudyResult) -> str:
    """Return a sentence about the weights of the base network; "" where the study does not have them."""
    weights = result.provenance.get("weights", {})
    card = weights.get("card", {})
    if "fingerprint" not in weights:
        return ""
    mark = str(weights["fingerprint"])[:12]
    if "recipe" not in card:
        return f"Base network: {result.space.model}, weights {mark}, as its function gives them."
    recipe = f"recipe {card['recipe']['name']}, seed {card['seed']}, {duration_text(card['seconds'])}"
    if "sha256" in card:
        return f"Base network: {card['family']}, weights {mark}, shipped with the package: {card['data']}, {recipe}."
    return f"Base network: {card['family']}, weights {mark}, trained on the study's own data: {recipe}."


def baseline_said(result: StudyResult) -> str:
    """Return sentences about the baseline's quality against guessing and its input; "" if neither is known."""
    pixels = input_sentence(result.provenance.get("identity", {}), result.provenance)
    said = [one_line(text, MAX_SENTENCE) for text in (baseline_sentence(result), pixels) if text]
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in said)
