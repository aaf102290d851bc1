"""The measured numbers of a manifest: whether each is possible on any machine, and the rows of those not measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from explorer.deploy.manifest import Manifest
from explorer.deploy.verify.bundle import Bundle
from explorer.deploy.verify.facts import prices_of
from explorer.deploy.verify.report import Row, measurement, unchecked
from explorer.intervals import MIN_SAMPLES
from explorer.metrics import METRICS
from explorer.records import Measurement
from explorer.tasks.task import task_named

CONFIRMED = "confirmed "
TEST = "test "
PERCENTILES = {"latency_ms": 50, "latency_p90_ms": 90, "latency_p95_ms": 95, "latency_p99_ms": 99}
TAILS = tuple(name for name, percent in PERCENTILES.items() if percent > 50)
TIMES = (*PERCENTILES, "latency_mean_ms")

_EXACT = ("artifact_size_mib", "n_parameters")
_MEASURED_ONCE = ("cold_start_ms", "peak_memory_mib", "model_memory_mib", "energy_mj")
_MAX_N = 10**12
_COARSE_MS = 0.1
"""From this time on, a clock with nanoseconds gives two quantiles different values."""

_FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "throughput_per_s": ("latency_mean_ms",),
    "cost_usd_per_million": ("latency_mean_ms", "peak_memory_mib"),
}
"""The metrics of the same measurement from which a metric follows."""

_WHY_NOT: Mapping[str, str] = {
    "n_parameters": "artifact.json says the same",
    "mega_macs": "it follows from what artifact.json says of each segment, by the shares of the exits",
    **dict.fromkeys(TAILS, "two runs differ by what others do meanwhile; it is not more than the mean allows"),
}
"""Why a metric without contradictions is still only the sender's word."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A measured number of a manifest: the name of its row, its metric, and the stated measurement.

    `n_rounds` is that of the confirmation, for medians over its rounds; None for a single measurement, and for
    confirmed values that are those of the search because no round measures them.
    """

    what: str
    metric: str
    stated: Measurement
    n_rounds: int | None = None

    @property
    def value(self) -> float:
        """The stated value, where one is stated."""
        assert self.stated.value is not None
        return self.stated.value


def claims(manifest: Manifest) -> tuple[Claim, ...]:
    """Return the claims of the search, the quality on the test split, and the claims of the confirmation, in order."""
    again, on_test = manifest.confirmed, manifest.test_quality
    stated = [Claim(_row_name(name), name, measurement(metric)) for name, metric in manifest.metrics.items()]
    stated += [
        Claim(name_on_test(one.name), one.name, measurement(on_test.get(one.name)))
        for one in task_named(manifest.task.name).metrics
    ]
    for name, metric in again.metrics.items() if again is not None else ():
        n_rounds = None if again is None or metric == manifest.metrics.get(name) else again.rounds
        stated.append(Claim(confirmed_name(_row_name(name)), name, measurement(metric), n_rounds))
    return tuple(stated)


def _row_name(metric: str) -> str:
    """Return a unique row name: an unknown metric may have any name."""
    return metric if metric in METRICS else f"metric {metric!r}"


def confirmed_name(metric: str) -> str:
    """Return the row name of a metric's confirmed value."""
    return f"{CONFIRMED}{metric}"


def name_on_test(metric: str) -> str:
    """Return the row name of a quality metric on the test split."""
    return f"{TEST}{metric}"


def impossible(claim: Claim) -> str:
    """Return why no measurement yields such a number, in a sentence; empty when one can.

    A value must lie within its metric's bounds and its own interval; interval and number of samples must fit the kind
    of metric. An unknown metric has no bounds.
    """
    if claim.stated.value is None:
        return ""
    return _outside(claim) or _wrong_interval(claim) or _wrong_n(claim)


def _outside(claim: Claim) -> str:
    metric, value = METRICS.get(claim.metric), claim.value
    if metric is None:
        return ""
    least, most = metric.bounds
    if not least <= value <= most:
        return f"{value:g} {metric.unit} is not between {least:g} and {most:g}"
    return f"{value:g} is no whole number" if metric.unit == "count" and value != math.floor(value) else ""


def _wrong_interval(claim: Claim) -> str:
    value, low, high = claim.value, claim.stated.low, claim.stated.high
    ends = " to ".join("unknown" if end is None else f"{end:g}" for end in (low, high))
    if (low is not None and low > value) or (high is not None and high < value):
        return f"its value {value:g} is not in its interval, {ends}"
    if claim.metric in METRICS and any(abs(end) > METRICS[claim.metric].bounds[1] for end in (low, high) if end):
        return f"its interval, {ends}, leaves the metric's bounds"
    if claim.metric in PERCENTILES and low is not None and low <= 0 and claim.n_rounds is None:
        return f"its interval begins at {low:g} ms: every query takes time"
    is_of_one = claim.metric in _MEASURED_ONCE and (claim.n_rounds is None or claim.stated.n == 1)
    if (claim.metric in _EXACT or is_of_one) and (low, high) != (None, None):
        return "it has an interval, and a single number has none"
    if low is not None and low == high and _is_scattered(claim):
        return f"its interval has no width, and {claim.stated.n} measured times are never all the same"
    return ""


def _is_scattered(claim: Claim) -> bool:
    """Return whether at least two samples of the metric always differ."""
    if claim.metric not in (*TIMES, "cold_start_ms", "throughput_per_s") or (claim.stated.n or 0) < 2:
        return False
    is_quantile = claim.metric in PERCENTILES and claim.n_rounds is None
    return not is_quantile or claim.value >= _COARSE_MS


def _wrong_n(claim: Claim) -> str:
    n = claim.stated.n
    if claim.metric not in METRICS or claim.metric == "mega_macs":
        return ""
    if claim.metric in _EXACT:
        return "" if n is None else f"it is of {n} samples, and it is counted, not sampled"
    if n is None or not 0 < n <= _MAX_N:
        return f"it is of {'an unknown number of' if n is None else n} samples"
    if claim.metric in _MEASURED_ONCE and claim.n_rounds is None and n != 1:
        return f"it is of {n} samples, and one process has one"
    needed = MIN_SAMPLES.get(PERCENTILES.get(claim.metric, 0), 1)
    if claim.n_rounds is None and n < needed:
        return f"it is of {n} queries, and such a percentile needs {needed}"
    return ""


def claim_rows(bundle: Bundle, made: Mapping[str, Row], why_not: str) -> Iterator[Row]:
    """Yield the rows of the numbers of which there is none in `made` yet; `made` may grow by each."""
    for claim in claims(bundle.manifest):
        if claim.what not in made:
            yield _row(bundle, claim, made, why_not)


def _row(bundle: Bundle, claim: Claim, rows: Mapping[str, Row], why_not: str) -> Row:
    if claim.stated.value is None:
        return unchecked(claim.what, claim.stated, "the manifest does not state it")
    if claim.what == "artifact_size_mib":
        return Row(claim.what, claim.stated, Measurement(bundle.artifact.size_mib), "holds")
    if claim.what == confirmed_name(claim.metric) and claim.n_rounds is None and claim.metric in rows:
        source = rows[claim.metric]
        return Row(claim.what, claim.stated, "as in the search", source.verdict, source.why, is_derived=True)
    if claim.metric in _FOLLOWS:
        return _following(claim, rows, prices_of(bundle.manifest) is not None)
    return unchecked(claim.what, claim.stated, _WHY_NOT.get(claim.metric, why_not))


def _following(claim: Claim, rows: Mapping[str, Row], has_prices: bool) -> Row:
    """Return the row of a number that follows from others: it holds if these do."""
    is_cost = claim.metric == "cost_usd_per_million"
    if is_cost and not has_prices:
        return unchecked(claim.what, claim.stated, "the search space does not have its prices")
    sources = [claim.what.replace(claim.metric, name) for name in _FOLLOWS[claim.metric]]
    names = " and ".join(name.rpartition("_")[0].replace("_", " ") for name in sources)
    found = f"follows from {names}{', at the prices of the search space' if is_cost else ''}"
    if all(name in rows and rows[name].verdict == "holds" for name in sources):
        return Row(claim.what, claim.stated, found, "holds", is_derived=True)
    why = "what it follows from is the sender's word, or not stated"
    return Row(claim.what, claim.stated, found, "not checked", why)
