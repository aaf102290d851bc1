"""The latency and memory of a bundle anew, by the product's own probe, against what the study measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.deploy.again import Again, measurement, not_checked
from explorer.deploy.report import Row
from explorer.measure import cores
from explorer.measure.child import ChildFailed
from explorer.measure.cost import Prices
from explorer.measure.probing import Validation, probe
from explorer.measure.results import Measured
from explorer.records import Measurement, Progress

ALLOWANCE = 0.10
"""How far above the stated interval a time or a memory may lie on the same device.

The interval tells how well the median of one run is known. Whole runs of one variant on a shared machine differ by
more, with the processor's clock and with what others do to its caches.
"""

_ATTEMPTS = 3
"""Whatever else runs makes times longer, and never shorter: the best valid one of so many is compared."""

_UNDISTURBED = 0.95
"""The share of the time that the timed thread must have had its core in the best of them."""

_TIMES = ("latency_ms", "latency_mean_ms")
_MEASURED = (*_TIMES, "peak_memory_mib")


@dataclass(frozen=True, slots=True)
class _Best:
    """The least of each metric, times of valid measurements where there is one, and the largest processor share of
    these; `why_invalid` is why the last one was not valid where none was, else empty.
    """

    metrics: Mapping[str, Measurement]
    processor_share: float
    why_invalid: str


def speed_rows(again: Again, validation: Validation, are_samples: bool) -> list[Row]:
    """Latency and memory on the images of `validation`, which the study timed too unless they `are_samples`.

    Raises Interrupted, OSError.
    """
    bundle = again.bundle
    metrics = {name: bundle.manifest.metrics.get(name) for name in _MEASURED}
    n_cores, threads = len(cores.available()), bundle.variant.threads
    if threads > n_cores:
        return not_checked(metrics, f"{threads} threads need as many cores, and this process may use {n_cores}")
    stated = {name: measurement(metric) for name, metric in metrics.items()}
    why_not = {name: _why_not(again, name, stated[name], are_samples) for name in stated}
    compared = {name: stated[name] for name in stated if not why_not[name]}
    try:
        best = _best(again, validation, compared)
    except ChildFailed as failed:
        return [Row("latency_ms", stated["latency_ms"], f"the probe failed: {failed.reason}", "fails")]
    return [
        Row(name, stated[name], best.metrics[name], "not comparable", why_not[name])
        if why_not[name]
        else _speed_row(name, stated[name], best)
        for name in stated
    ]


def _best(again: Again, validation: Validation, compared: Mapping[str, Measurement]) -> _Best:
    """Of as many measurements as it takes."""
    made: list[Measured] = []
    for attempt in range(1, _ATTEMPTS + 1):
        again.on_progress(Progress("measure latency and memory", note="" if attempt == 1 else f"attempt {attempt}"))
        made.append(_probed(again, validation, attempt))
        best = _best_of(made)
        is_believed = not best.why_invalid or not compared.keys() & set(_TIMES)
        if is_believed and all(_is_within(stated, best.metrics[name]) for name, stated in compared.items()):
            break
    return best


def _best_of(made: Sequence[Measured]) -> _Best:
    """What disturbs times takes no memory, so that its least is that of all measurements."""
    believed = [one for one in made if not one.invalid]
    timed = believed or made

    def least(name: str) -> Measurement:
        return min((one.metrics[name] for one in (timed if name in _TIMES else made)), key=lambda m: m.value or 0.0)

    return _Best(
        {name: least(name) for name in _MEASURED},
        max(one.details["processor_share"] for one in timed),
        "" if believed else made[-1].invalid[0],
    )


def _probed(again: Again, validation: Validation, attempt: int) -> Measured:
    bundle, free = again.bundle, Prices(0.0, 0.0, 0.0)
    return probe(
        bundle.artifact,
        bundle.variant,
        validation,
        free,
        name=f"verify-{attempt}",
        logits_cache=again.place / "logits",
        stop=again.stop,
        results=again.place / "measurements",
    )[0]


def _why_not(again: Again, name: str, stated: Measurement, are_samples: bool) -> str:
    """Why the study's number cannot be compared with one from here; nothing when it can."""
    if stated.value is None:
        return "the manifest does not state it"
    if not again.is_same:
        return "it was measured on another device, or with other versions"
    if are_samples and name in _TIMES and again.bundle.manifest.execution.n_exits > 1:
        return "early exits depend on the images, and only the samples are at hand"
    return ""


def _is_within(stated: Measurement, found: Measurement) -> bool:
    """Whether a metric of which less is better keeps to what is stated, but for the allowance."""
    assert stated.value is not None
    lowest = found.value if found.low is None else found.low
    return lowest is not None and lowest <= (1 + ALLOWANCE) * max(stated.value, stated.high or stated.value)


def _speed_row(name: str, stated: Measurement, best: _Best) -> Row:
    """A time that was taken under a disturbance and is within its promise keeps it all the more, and says so."""
    found, is_time = best.metrics[name], name in _TIMES
    no_valid = f"none of {_ATTEMPTS} measurements was valid: {best.why_invalid}" if is_time and best.why_invalid else ""
    if _is_within(stated, found):
        is_less = found.high is not None and stated.low is not None and found.high < stated.low
        return Row(name, stated, found, "holds", no_valid or ("and less than is stated" if is_less else ""))
    if no_valid:
        return Row(name, stated, found, "not comparable", f"{no_valid}; stop what else runs and try again")
    if is_time and best.processor_share < _UNDISTURBED:
        others = f"{100 * (1 - best.processor_share):.0f} %"
        why = f"other processes had the core for {others} of the time: stop them and try again"
        return Row(name, stated, found, "not comparable", why)
    why = f"more than {100 * ALLOWANCE:.0f} % above the stated interval in each of {_ATTEMPTS} measurements"
    return Row(name, stated, found, "fails", why)
