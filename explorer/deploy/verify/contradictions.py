"""Contradictions: numbers of a manifest that do not follow from each other or from the bundle's files.

Nothing is measured. What contradicts nothing may still be wrong: see `explorer.deploy.verify.speed` and
`explorer.deploy.verify.quality`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

from explorer.deploy.manifest import Manifest
from explorer.deploy.verify.bundle import Bundle
from explorer.deploy.verify.claims import PERCENTILES, TIMES, Claim, claims, confirmed_name, impossible, name_on_test
from explorer.deploy.verify.facts import Fault, contradicted_facts, prices_of
from explorer.deploy.verify.samples import SampleArrays
from explorer.intervals import EXACTLY, is_near, is_same, student
from explorer.measure.metrics import cost
from explorer.measure.scenarios.single_stream import throughput
from explorer.metrics import is_constant
from explorer.records import Measurement
from explorer.study.confirm.confirmed_values import MEDIAN_WIDENS

Known = Mapping[str, Claim]
"""Claims with a value that is possible, by row name or by metric."""

_LONGEST_S = 600.0
"""The longest time that a probe times queries."""

_MACS_A_CYCLE, _CYCLES_A_S = 4096, 1e10
"""Upper bounds for one core: the matrix units of the largest take 1,024 products of eight bits per cycle."""

_MAX_RATIO = 3.0
"""The largest ratio of two valid measurements of one variant on one machine."""

_ROUNDING = 1e-6
_MAX_SPREAD = 0.25
"""The largest relative deviation that a stated interval, however wide, permits."""

_MEAN, _PEAK, _RATE, _COST = "latency_mean_ms", "peak_memory_mib", "throughput_per_s", "cost_usd_per_million"


def contradictions(bundle: Bundle, samples: SampleArrays) -> dict[str, str]:
    """Return the first reason against each row that cannot be true, by row name."""
    found: dict[str, str] = {}
    for what, why in _faults(bundle, samples):
        found.setdefault(what, why)
    return found


def _faults(bundle: Bundle, samples: SampleArrays) -> Iterator[Fault]:
    stated = claims(bundle.manifest)
    wrong = {claim.what: why for claim in stated if (why := impossible(claim))}
    yield from wrong.items()
    yield from contradicted_facts(bundle, samples)
    possible = {claim.what: claim for claim in stated if claim.what not in wrong}
    known = {what: claim for what, claim in possible.items() if claim.stated.value is not None}
    yield from _quality(bundle, samples, known)
    yield from _percentiles(known)
    yield from _mean(known)
    yield from _floors(bundle, known)
    yield from _memory(bundle, known)
    yield from _of_the_mean(bundle.manifest, known)
    yield from _of_the_files(bundle, known)
    yield from _confirmation(bundle.manifest, possible)


def _quality(bundle: Bundle, samples: SampleArrays, known: Known) -> Iterator[Fault]:
    """Yield metrics that are of another number of examples, that these cannot give, or that the samples exclude."""
    task, data = bundle.task, bundle.manifest.provenance.data
    for metric in task.metrics:
        name = metric.name
        for what, n, some in ((name, data.n_validation, samples), (name_on_test(name), data.n_test, samples.first(0))):
            if what not in known:
                continue
            stated = known[what].stated
            if stated.n != n or not n:
                yield what, f"it is of {stated.n} {task.noun[1]}, and there are {n}"
            elif why := task.fault_of_quality(name, stated, some.answers, some.targets):
                yield what, why


def _percentiles(known: Known) -> Iterator[Fault]:
    """Yield percentiles that fall, that the mean excludes, or that are of another number of queries than the mean."""
    mean, last = known.get(_MEAN), 0.0
    for what, percent in PERCENTILES.items():
        if what not in known:
            continue
        claim = known[what]
        if claim.value < last:
            yield what, f"{claim.value:g} ms is less than a lower percentile, {last:g} ms"
        last = max(last, claim.value)
        if mean is not None and claim.stated.n != mean.stated.n:
            yield what, f"it is of {claim.stated.n} queries, and the mean of {mean.stated.n}"
        elif mean is not None and mean.value * (1 + EXACTLY) < (1 - percent / 100) * claim.value:
            yield what, f"{claim.value:g} ms is too large for a mean of {mean.value:g} ms"


def _mean(known: Known) -> Iterator[Fault]:
    if (mean := known.get(_MEAN)) is None:
        return
    if not is_symmetric(mean.stated):
        yield _MEAN, "its interval is not around its value"
    seconds = mean.value / 1000 * (mean.stated.n or 0)
    if seconds > _LONGEST_S:
        yield _MEAN, f"{mean.stated.n:,} such queries take {seconds:,.0f} s, and none is timed for so long"


def _floors(bundle: Bundle, known: Known) -> Iterator[Fault]:
    """Yield latencies that are shorter than any processor takes for the multiply-accumulates of a query."""
    variant = bundle.manifest.variant
    macs = variant["batch_size"] * float(bundle.mega_macs[0]) * 1e6
    least_ms = 1000 * macs / (variant["threads"] * _MACS_A_CYCLE * _CYCLES_A_S)
    for what, claim in known.items():
        if claim.metric in TIMES and claim.value < least_ms:
            yield what, f"{macs:,.0f} multiply-accumulates take {least_ms:g} ms on the fastest cores there are"


def _memory(bundle: Bundle, known: Known) -> Iterator[Fault]:
    most = bundle.manifest.provenance.device.memory_mib
    for name in (str, confirmed_name):
        peak, model = known.get(name(_PEAK)), known.get(name("model_memory_mib"))
        if peak is not None and model is not None and model.value >= peak.value:
            yield model.what, f"{model.value:g} MiB is not a part of the whole process's {peak.value:g}"
        if peak is not None and peak.value > most:
            yield peak.what, f"{peak.value:,.0f} MiB, and the device has {most:,}"


def _of_the_mean(manifest: Manifest, known: Known) -> Iterator[Fault]:
    """Yield throughput and cost that do not follow from the mean latency of the same measurement."""
    mean, peak, prices = known.get(_MEAN), known.get(_PEAK), prices_of(manifest)
    if mean is None:
        return
    batch = manifest.variant["batch_size"]
    expected = {_RATE: throughput(mean.stated, batch)}
    if peak is not None and prices is not None:
        expected[_COST] = cost(prices, mean.stated, peak.stated, batch)
    for what, follows in expected.items():
        if what in known and not is_same(known[what].stated, follows, _ROUNDING):
            ends = f"{follows.low or 0:g} to {follows.high or 0:g}"
            yield what, f"from the mean latency follows {follows.value:g}, {ends}"


def _of_the_files(bundle: Bundle, known: Known) -> Iterator[Fault]:
    """Yield size, parameters and multiply-accumulates that do not follow from the model's files."""
    manifest, artifact = bundle.manifest, bundle.artifact
    size, parameters, macs = (known.get(name) for name in ("artifact_size_mib", "n_parameters", "mega_macs"))
    if size is not None and abs(size.value - artifact.size_mib) >= 0.5 / 2**20:
        yield size.what, "the model's files are not that large"
    if parameters is not None and parameters.value != artifact.facts.n_parameters:
        yield parameters.what, f"artifact.json has {artifact.facts.n_parameters:,}"
    if macs is None or len(bundle.mega_macs) != len(manifest.exit_shares):  # which is a fault of the shares
        return
    expected = float(bundle.mega_macs @ manifest.exit_shares)
    n = manifest.provenance.data.n_validation if len(manifest.exit_shares) > 1 else None
    if not is_near(macs.value, expected, _ROUNDING):
        yield macs.what, f"from artifact.json and the shares of the exits follow {expected:g} million"
    elif macs.stated.n != n or not is_symmetric(macs.stated) or (n is None and macs.stated.low is not None):
        some = "no interval" if n is None else f"an interval around it, of {n} {bundle.task.noun[1]}"
        yield macs.what, f"expected {some}"


def _confirmation(manifest: Manifest, possible: Mapping[str, Claim]) -> Iterator[Fault]:
    """Yield confirmed values, medians over rounds, that contradict each other or the search."""
    confirmed = [claim for what, claim in possible.items() if what == confirmed_name(claim.metric)]
    medians = [claim for claim in confirmed if claim.n_rounds is not None]
    for claim in medians:
        if why := _no_median(claim) or ("" if manifest.chosen.invalid else _far_from(possible, claim)):
            yield claim.what, why
    known = {claim.metric: claim for claim in medians if claim.stated.value is not None}
    yield from _order(known)
    yield from _within_rounds(manifest, known)


def _no_median(claim: Claim) -> str:
    if is_constant(claim.metric):
        return "measuring again does not change it, and the search has another value or interval"
    if claim.stated.value is None:
        return ""
    n, rounds = claim.stated.n, claim.n_rounds or 0
    if n is None or not 0 < n <= rounds:
        return f"it is of {n} rounds, and there were {rounds}"
    if claim.metric in ("latency_ms", _MEAN) and 2 * n <= rounds:
        return f"it is of {n} rounds of {rounds}: less than half were valid"
    if (n == 1) != (claim.stated.high is None) or not is_symmetric(claim.stated, least=0.0):
        return "its interval is not one of a median over rounds: as far below the value as above it"
    return ""


def _far_from(possible: Mapping[str, Claim], claim: Claim) -> str:
    searched = possible.get(claim.metric)
    if claim.metric not in ("latency_ms", _PEAK) or searched is None or not searched.stated.value:
        return ""
    if claim.stated.value is None or 1 / _MAX_RATIO <= claim.value / searched.value <= _MAX_RATIO:
        return ""
    return f"{claim.value:g}, and the search measured {searched.value:g}"


def _order(known: Known) -> Iterator[Fault]:
    """Yield percentiles below a lower one: of the same rounds, medians rise like the percentiles of each round."""
    stated = [known[metric] for metric in PERCENTILES if metric in known]
    for lower, claim in pairwise(stated):
        if claim.stated.n == lower.stated.n and claim.value < lower.value:
            yield claim.what, f"{claim.value:g} ms is less than a lower percentile, {lower.value:g} ms"


def _within_rounds(manifest: Manifest, known: Known) -> Iterator[Fault]:
    """Yield throughput and cost that do not follow, within the rounds' spread, from the mean latency."""
    mean, peak, prices = known.get(_MEAN), known.get(_PEAK), prices_of(manifest)
    if mean is None:
        return
    batch, within = manifest.variant["batch_size"], _between(mean)
    rate, price = known.get(_RATE), known.get(_COST)
    for one in (rate, price):
        if one is not None and one.stated.n != mean.stated.n:
            yield one.what, f"it is of {one.stated.n} rounds, and the mean latency of {mean.stated.n}"
    if rate is not None:
        ratio = rate.value * mean.value / (1000 * batch)
        if not 1 - _ROUNDING <= ratio <= (1 + within) * (1 + _ROUNDING):
            yield rate.what, f"from the mean latency follows {1000 * batch / mean.value:g} a s"
    if price is not None and peak is not None and prices is not None:
        follows = cost(prices, mean.stated, peak.stated, batch).value or 0.0
        if not math.isclose(price.value, follows, rel_tol=_ROUNDING + within + _scatter(peak), abs_tol=1e-12):
            yield price.what, f"from the mean latency and the memory follows {follows:g}"


def _between(claim: Claim) -> float:
    """Return how much the median of reciprocals may differ from the reciprocal of the median: 0 for odd numbers.

    For an even number both are means of the two in the middle, a and b: (a + b)^2 / 4ab. Of n values whose standard
    deviation is s, these two are no farther apart than 2s.
    """
    n, high = claim.stated.n or 1, claim.stated.high
    if n % 2 or high is None or not claim.value:
        return 0.0
    deviation = (high - claim.value) * math.sqrt(n) / (MEDIAN_WIDENS * student(n - 1))
    share = (deviation / claim.value) ** 2
    return _MAX_SPREAD if share >= 0.5 else min(_MAX_SPREAD, 1 / (1 - share) - 1)


def _scatter(claim: Claim) -> float:
    """Return the relative distance of single rounds from the median: three times the half width of its interval."""
    high = claim.stated.high
    return 0.0 if high is None or not claim.value else min(_MAX_SPREAD, 3 * (high - claim.value) / claim.value)


def is_symmetric(stated: Measurement, least: float = -math.inf) -> bool:
    """Return whether the ends of the interval are equally far from the value, cut at `least`; or are both unknown."""
    if stated.value is None or stated.low is None or stated.high is None:
        return stated.low is None and stated.high is None
    expected = max(least, 2 * stated.value - stated.high)
    return abs(stated.low - expected) <= 1e-6 * max(abs(stated.value), stated.high - stated.value)
