"""Compare the baseline's quality with what needs no network, and describe the pixels that its network gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explorer.metrics import Metric
from explorer.models.registry import is_own
from explorer.records import Measurement
from explorer.study.result import StudyResult
from explorer.tasks.task import DEFAULT_TASK, Reference, Task, task_named


def guessing_info(result: StudyResult) -> dict[str, Any] | None:
    """Return the baseline's main quality metric and the references, JSON-ready; None while there is no baseline.

    Of a classification, "chance" is 1 / number of classes, "majority_class" the accuracy of always predicting the most
    frequent class.
    """
    metric, measured = _quality(result)
    if measured is None:
        return None
    levels = {reference.name.replace(" ", "_"): reference.value for reference in _references(result)}
    return {metric.name: measured.to_json(), **levels}


def baseline_sentence(result: StudyResult) -> str:
    """Return `The baseline's accuracy is 97.3 % (chance 10.0 %, majority class 10.4 %)`; "" where unknown."""
    metric, measured = _quality(result)
    if measured is None or measured.value is None:
        return ""
    levels = ", ".join(
        f"{_printable(reference.name)} {_text(metric, reference.value)}" for reference in _references(result)
    )
    return f"The baseline's {metric.title} is {_text(metric, measured.value)}" + (f" ({levels})" if levels else "")


def warnings(result: StudyResult) -> tuple[str, ...]:
    """Return a sentence for each reason why every comparison of the study is meaningless.

    That is a baseline whose main quality metric, at the worse end of its interval, is no better than a reference.
    """
    metric, measured = _quality(result)
    references = _references(result)
    if measured is None or measured.value is None or not references:
        return ()
    is_maximized = metric.direction == "maximize"
    end = measured.low if is_maximized else measured.high
    worst, levels = measured.value if end is None else end, [reference.value for reference in references]
    is_better = worst > max(levels) if is_maximized else worst < min(levels)
    return () if is_better else (_warning(result, metric, measured, references),)


def pixels_text(shape: Sequence[int], stated: str | None) -> str:
    """Return `3 channels, 32 × 32, uint8 0-255, normalized by input: unit`, for inputs of `shape` (c, h, w).

    `stated` is the `input` of the search space; None for a family.
    """
    channels, height, width = shape
    by = "the mean and std of the training data" if stated is None else f"input: {stated}"
    plural = "" if channels == 1 else "s"
    return f"{channels} channel{plural}, {width} × {height}, uint8 0-255, normalized by {by}"


def pixels_sentence(identity: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """Return `images: ...`, in the task's word, for the pixels that the network gets; "" for others, and if unknown."""
    data = identity.get("data")
    known = data.get("input") if isinstance(data, Mapping) else None
    shape = known.get("shape") if isinstance(known, Mapping) else None
    if not isinstance(shape, list | tuple) or len(shape) != 3 or "input" not in provenance:
        return ""
    nouns = task_named(str(provenance.get("task", {}).get("name", DEFAULT_TASK))).noun[1]
    return f"{nouns}: {pixels_text(shape, provenance['input']['stated'])}"


def _quality(result: StudyResult) -> tuple[Metric, Measurement | None]:
    """Return the main quality metric, and the baseline's; None without a baseline."""
    metric = task_named(result.space.task).main_metric
    return metric, None if result.baseline is None else result.baseline.outcome.metrics.get(metric.name)


def _references(result: StudyResult) -> list[Reference]:
    return [Reference.from_json(values) for values in result.provenance.get("references", ())]


def _warning(result: StudyResult, metric: Metric, measured: Measurement, references: list[Reference]) -> str:
    assert measured.value is not None
    interval, (_, plural) = "", task_named(result.space.task).noun
    if measured.low is not None and measured.high is not None:
        low = _text(metric, measured.low).removesuffix(" %")
        interval = f" (95 % interval {low} to {_text(metric, measured.high)})"
    levels = ", ".join(f"{_printable(one.clause)} {_text(metric, one.value)}" for one in references)
    return (
        f"WARNING: as far as the validation {plural} tell, the baseline is no better than guessing: its {metric.title} "
        f"is {_text(metric, measured.value)}{interval}, {levels}. What is compared with it means nothing. "
        f"Likely causes: {_causes(result, task_named(result.space.task))}"
    )


def _causes(result: StudyResult, task: Task) -> str:
    if not is_own(result.space.model):
        return f"weights that were not trained long enough, or labels that do not belong to their {task.noun[1]}"
    stated = "" if result.space.input is None else f" than 'input: {result.space.input}' gives it"
    trained = f"the network was trained on other {'pixels' if task.has_pixels else task.noun[1]}{stated}"
    suspicions = task.suspicions(result.provenance.get("task", {}).get("facts", {}))
    return f"{', '.join((trained, *suspicions))}, or its weights are untrained or were not loaded"


def _printable(text: str) -> str:
    """Return the text with escapes for what does not print: a study's folder may be anybody's."""
    return text if text.isprintable() else repr(text)[1:-1]


def _text(metric: Metric, value: float) -> str:
    if metric.unit == "ratio":
        return f"{100 * value:.1f} %"
    return f"{value:.4g} {metric.unit}".rstrip()
