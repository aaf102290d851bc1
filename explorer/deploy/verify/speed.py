"""Times and memory of a bundle, measured again by the package's own probe, against those of the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from explorer.deploy.verify.claims import Claim, claims
from explorer.deploy.verify.report import Remeasurement, Row, unchecked
from explorer.measure.metrics import Prices
from explorer.measure.probing import ProbeSettings, probe
from explorer.measure.results import Measured
from explorer.records import Measurement, Progress
from explorer.system import cores
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.task import Examples

ALLOWANCE = 0.10
"""The share by which a time or a memory may exceed the stated interval on the same device.

The interval is that of the median of one run. Whole runs of one variant on a shared machine differ by more, with the
processor's clock and with the use of its caches by other processes.
"""

WIDEST = 0.25
"""The part of a stated interval that counts, relative to its value: with a wider one, anything would hold."""

_ATTEMPTS = 3
"""Other processes only make times longer, so the best valid measurement of so many is compared."""

_UNDISTURBED = 0.95
"""The least processor share of the timed thread in an undisturbed measurement."""

_MAX_DISTURBANCE = 5.0
"""The factor, in processor time, above which no disturbance excuses the best measurement."""

_RUNTIME_DEVIATION = 0.25
"""The relative deviation of the memory of the bare runtime, the rest of a process, from what is found."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Limits of the found value: at most the share `above` over the stated one, and at most `below` times less.

    `is_time`: other processes change it.
    """

    above: float
    below: float
    is_time: bool = True


_MODEL, _PEAK = "model_memory_mib", "peak_memory_mib"
_RULES: Mapping[str, _Rule] = {
    "latency_ms": _Rule(ALLOWANCE, 3.0),
    "latency_mean_ms": _Rule(ALLOWANCE, 3.0),
    "cold_start_ms": _Rule(4.0, 10.0),  # files come from the disk or from the page cache
    _PEAK: _Rule(ALLOWANCE, 3.0, is_time=False),
    _MODEL: _Rule(ALLOWANCE, 3.0, is_time=False),  # as a part of the peak: see `_model_row`
    "energy_mj": _Rule(1.0, 3.0),
}
"""The compared metrics. The tails of latency depend on other processes, and differ between runs."""

_BY_STAGE = ("latency_ms", "latency_mean_ms", "energy_mj")
"""Metrics that depend on how many segments run."""


@dataclass(frozen=True, slots=True)
class _Best:
    """The least of each metric, for times of the valid measurements where there is one, and the largest processor share
    of these; `why_invalid` is why the last measurement was not valid where none was, else empty.
    """

    metrics: Mapping[str, Measurement]
    processor_share: float
    why_invalid: str


def speed_rows(again: Remeasurement, validation: Examples, are_samples: bool) -> list[Row]:
    """Measure times and memory on the examples of `validation`, which the study timed too unless they `are_samples`.

    One measurement is compared with the values of the search and of the confirmation. Raises Interrupted, OSError.
    """
    manifest = again.bundle.manifest
    stated = [claim for claim in claims(manifest) if claim.metric in _RULES and claim.stated.value is not None]
    n_cores, threads = len(cores.available()), again.bundle.variant["threads"]
    if threads > n_cores:
        why = f"{threads} threads need as many cores, and this process may use {n_cores}"
        return [unchecked(claim.what, claim.stated, why) for claim in stated]
    why_not = {claim.what: _why_not(again, claim.metric, are_samples) for claim in stated}
    try:
        best = _best(again, validation, [claim for claim in stated if not why_not[claim.what]])
    except WorkerFailed as failed:
        promised = next((claim.stated for claim in stated if claim.what == "latency_ms"), "an answer")
        return [Row("latency_ms", promised, f"the probe failed: {failed.reason}", "fails")]
    return list(_rows(stated, why_not, best, is_doubtful=bool(manifest.chosen.invalid)))


def _rows(stated: Sequence[Claim], why_not: Mapping[str, str], best: _Best, is_doubtful: bool) -> Iterator[Row]:
    peaks = {claim.what: claim.stated for claim in stated if claim.metric == _PEAK}
    for claim in (claim for claim in stated if claim.metric in best.metrics):
        if why_not[claim.what]:
            yield Row(claim.what, claim.stated, best.metrics[claim.metric], "not comparable", why_not[claim.what])
        elif claim.metric == _MODEL:
            yield _model_row(claim, peaks.get(claim.what.replace(_MODEL, _PEAK)), best)
        else:
            yield _speed_row(claim, best, is_doubtful and claim.what == claim.metric)


def _why_not(again: Remeasurement, metric: str, are_samples: bool) -> str:
    """Return why the study's number cannot be compared with one from here; empty when it can."""
    if not again.is_same:
        return "it was measured on another device, or with other versions"
    if are_samples and metric in _BY_STAGE and again.bundle.manifest.execution.is_staged:
        noun = again.bundle.task.noun[1]
        return f"how many segments run depends on the {noun}, and only the samples are at hand"
    return ""


def _best(again: Remeasurement, validation: Examples, compared: Sequence[Claim]) -> _Best:
    """Measure until the stated values are reached, at most _ATTEMPTS times."""
    made: list[Measured] = []
    for attempt in range(1, _ATTEMPTS + 1):
        again.on_progress(Progress("measure latency and memory", note="" if attempt == 1 else f"attempt {attempt}"))
        made.append(_probed(again, validation, attempt))
        best = _best_of(made)
        is_valid = not best.why_invalid or not any(_RULES[claim.metric].is_time for claim in compared)
        if is_valid and all(_is_within(claim, best) for claim in compared):
            break
    return best


def _best_of(made: Sequence[Measured]) -> _Best:
    """Combine measurements. Disturbances take no memory, so that its least is that of all of them."""
    valid = [one for one in made if not one.invalid]
    timed = valid or made
    metrics = {
        name: min((one.metrics[name] for one in (timed if rule.is_time else made)), key=lambda m: m.value or 0)
        for name, rule in _RULES.items()
        if name in made[0].metrics
    }
    share = max(one.observation.processor_share for one in timed)
    return _Best(metrics, share, "" if valid else made[-1].invalid[0])


def _probed(again: Remeasurement, validation: Examples, attempt: int) -> Measured:
    bundle, folder = again.bundle, again.folder
    settings = ProbeSettings(validation, Prices(0.0, 0.0, 0.0), folder / "logits", again.stop)
    return probe(bundle.artifact, bundle.variant, settings, f"verify-{attempt}", folder / "measurements")[0]


def _most(claim: Claim) -> float:
    """Return the largest value that the stated one allows."""
    high = claim.value if claim.stated.high is None else claim.stated.high
    return (1 + _RULES[claim.metric].above) * min(max(claim.value, high), (1 + WIDEST) * claim.value)


def _is_within(claim: Claim, best: _Best) -> bool:
    """Return whether the found value is at most what is allowed; unknown ones are within."""
    found = best.metrics.get(claim.metric)
    if found is None or found.value is None or claim.metric == _MODEL:
        return True
    return (found.value if found.low is None else found.low) <= _most(claim)


def _speed_row(claim: Claim, best: _Best, is_doubtful: bool) -> Row:
    """Compare a metric of which less is better; a disturbed time within the limit holds, with a note.

    `is_doubtful`: the stated times are invalid, and may be too long by any factor.
    """
    what, stated, found, rule = claim.what, claim.stated, best.metrics[claim.metric], _RULES[claim.metric]
    if found.value is None:
        return Row(what, stated, found, "not comparable", f"it cannot be measured here: {found.why}")
    is_never_valid = rule.is_time and best.why_invalid
    no_valid = f"none of {_ATTEMPTS} measurements was valid: {best.why_invalid}" if is_never_valid else ""
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    if _is_within(claim, best):
        if high * rule.below < claim.value and not (is_doubtful and rule.is_time):
            return Row(what, stated, found, "fails", f"more than {rule.below:g} times what is found here is stated")
        is_less = found.high is not None and stated.low is not None and found.high < stated.low
        return Row(what, stated, found, "holds", no_valid or ("and less than is stated" if is_less else ""))
    is_excused = rule.is_time and low * best.processor_share <= _MAX_DISTURBANCE * _most(claim)
    if no_valid and is_excused:
        return Row(what, stated, found, "not comparable", f"{no_valid}; stop what else runs and try again")
    if is_excused and best.processor_share < _UNDISTURBED:
        others = f"{100 * (1 - best.processor_share):.0f} %"
        why = f"other processes had the core for {others} of the time: stop them and try again"
        return Row(what, stated, found, "not comparable", why)
    why = f"more than {100 * rule.above:.0f} % above the stated interval in each of {_ATTEMPTS} measurements"
    return Row(what, stated, found, "fails", why)


def _model_row(claim: Claim, stated_peak: Measurement | None, best: _Best) -> Row:
    """Compare the rest of the process, without the model: the bare runtime takes the same memory everywhere."""
    what, stated, found, peak_found = claim.what, claim.stated, best.metrics[_MODEL], best.metrics[_PEAK]
    if stated_peak is None or stated_peak.value is None or found.value is None or peak_found.value is None:
        return Row(what, stated, found, "not comparable", "the manifest does not state the peak memory")
    rest, expected = stated_peak.value - claim.value, peak_found.value - found.value
    if abs(rest - expected) <= _RUNTIME_DEVIATION * expected:
        return Row(what, stated, found, "holds")
    why = f"then the bare runtime takes {rest:,.0f} MiB of the peak, and here it takes {expected:,.0f}"
    return Row(what, stated, found, "fails", why)
