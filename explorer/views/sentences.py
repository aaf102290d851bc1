"""What a study found, in sentences for people who read no tables."""

from __future__ import annotations

from explorer.study.front import LIKELY, FrontEntry, FrontSummary
from explorer.study.misses import nothing_feasible_message
from explorer.study.result import StudyResult
from explorer.views.rows import varying_parameters
from explorer.views.shown import confirmed_values
from explorer.views.wording import (
    Glyphs,
    better_direction,
    duration_text,
    gain_text,
    metric_title,
    scale_of,
    value_text,
    variant_text,
)

# "As accurate as the baseline, for most purposes": one point of accuracy.
_TOLERATED_LOSS = 0.01

NONE_IS_LIKELY = (
    f"No member of the front is on it with a probability of at least {100 * LIKELY:.0f} %, "
    "so all of them were eligible."
)


def recommendation(result: StudyResult, summary: FrontSummary) -> tuple[str, ...]:
    """Which trial to take: the knee; then the fastest that costs at most one point of accuracy. Why none, if none.

    Both are chosen among the likely members of the front; where there is none, among all, and that is said.
    """
    glyphs, result = Glyphs(), confirmed_values(result, summary)
    if summary.knee is None:
        return (nothing_feasible_message(result, summary.where),)
    sentences = [f"The knee of the front is {_entry_text(result, summary.knee, glyphs)}."]
    nearly = _nearly_as_accurate(result, summary)
    if nearly is not None and nearly.trial.number != summary.knee.trial.number:
        sentences.append(
            f"The fastest within one point of the baseline's accuracy is {_entry_text(result, nearly, glyphs)}."
        )
    if not any(entry.is_likely for entry in summary.entries):
        sentences.append(NONE_IS_LIKELY)
    return tuple(sentences)


def weights_sentence(result: StudyResult) -> str:
    """Which weights every variant is made from; "" where the study does not tell."""
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


def _entry_text(result: StudyResult, entry: FrontEntry, glyphs: Glyphs) -> str:
    """`trial 3 (width 0.5 · ...): accuracy 88.90 % (−3.98), latency 0.204 ms (16× better), ...`."""
    values = entry.trial.values()
    baseline = result.baseline
    is_baseline = baseline is not None and baseline.number == entry.trial.number
    words = []
    for objective in result.objectives:
        text = f"{metric_title(objective.metric)} {value_text(objective.metric, values[objective.metric])}"
        compared = None if is_baseline else result.baseline_values().get(objective.metric)
        gain = gain_text(objective.metric, values[objective.metric], compared, glyphs)
        if gain:
            unit = " points" if scale_of(objective.metric) != 1.0 else " better" if _is_better(gain) else " as good"
            text += f" ({gain}{unit})"
        words.append(text)
    variant = variant_text(entry.trial.variant, varying_parameters(result.space), glyphs)
    name = f"trial {entry.trial.number}{', the baseline itself' if is_baseline else ''}"
    return f"{name} ({variant}): {', '.join(words)}" if variant else f"{name}: {', '.join(words)}"


def _is_better(gain: str) -> bool:
    """Whether a ratio in words is above 1."""
    return float(gain.rstrip("×").replace(",", "")) > 1.0


def _nearly_as_accurate(result: StudyResult, summary: FrontSummary) -> FrontEntry | None:
    """The fastest eligible entry within one point of the baseline's accuracy; None where the objectives lack either."""
    speed = next((o.metric for o in result.objectives if o.metric.startswith("latency")), None)
    accuracy = result.baseline_values().get("accuracy")
    is_judged = any(objective.metric == "accuracy" for objective in result.objectives)
    if speed is None or accuracy is None or not is_judged or better_direction(speed) != "minimize":
        return None
    near = [e for e in summary.eligible if e.trial.values()["accuracy"] >= accuracy - _TOLERATED_LOSS]
    return min(near, key=lambda entry: entry.trial.values()[speed], default=None)
