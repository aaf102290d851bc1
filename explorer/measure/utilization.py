"""How much of the machine a variant uses, and what binds it: arithmetic, memory, or the overhead of each call.

The roofline model of Williams, Waterman & Patterson, "Roofline: an insightful visual performance model for multicore
architectures" (Communications of the ACM 52(4), 2009), with the peaks that this machine reaches, not the data sheet's.

What is assumed of the bytes: a query reads the weights of the segments that it enters once, and each layer's
activations once in and once out. Queries follow one another, so where a query's bytes fit into half of the last-level
cache (the other half is left to what else runs), weights included, they come from there and are charged the cache's
rate; else all of them are charged the memory's. What stays in the cores' own smaller caches is faster than either: the
time for bytes is an upper bound, and for a small network a loose one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from explorer.measure.peak import Peaks

OVERHEAD_FACTOR = 3.0
"""Above this multiple of the roofline's time a query is bound by overhead. Good kernels reach a third of the matrix
product's rate on the small and oddly shaped products of a network's layers; whoever takes longer spends most of the
time elsewhere: dispatch, memory allocation, layout changes, kernels that do not use the processor's instructions."""

_INT8_TRAFFIC = 0.25  # of float32's


@dataclass(frozen=True, slots=True)
class Work:
    """What the average query asks of the machine.

    giga_flops   10^9 operations, two a multiply-accumulate
    int8_share   of the operations, executed in int8, in [0, 1]
    n_bytes      weights and activations, read and written
    """

    giga_flops: float
    int8_share: float
    n_bytes: float


def work_of(facts: Mapping[str, Any], memory: Mapping[str, Any], exit_shares: Sequence[float], batch_size: int) -> Work:
    """The work of an artifact, from its artifact.json and the builder's `memory_bytes`.

    `exit_shares` are the shares of images that leave at each exit. A batch reads a segment's weights if any of its
    images enters it. Dynamic int8 counts as float32: its weights are a quarter, but it quantizes activations anew in
    every query, and its convolutions do not reach the rate of the int8 product.
    """
    entering = list(accumulate(reversed(exit_shares)))[::-1]
    int8_share = float(facts["int8_mac_share"]) if facts["quantization"] == "static_int8" else 0.0
    traffic_ratio = 1.0 - (1.0 - _INT8_TRAFFIC) * int8_share
    mega_macs, n_bytes = 0.0, 0.0
    for share, segment, counted in zip(entering, facts["segments"], memory["segments"], strict=True):
        mega_macs += batch_size * share * segment["mega_macs"]
        n_bytes += batch_size * share * traffic_ratio * counted["traffic"]
        n_bytes += (1.0 - max(0.0, 1.0 - share) ** batch_size) * counted["parameters"]
    return Work(2 * mega_macs / 1e3, int8_share, n_bytes)


def utilization(work: Work, latency_mean_ms: float, cpu_share: float, peaks: Peaks) -> dict[str, Any]:
    """JSON-ready details of a variant's use of the machine.

    latency_mean_ms  mean time of a query (the mean: operations over a time are an average rate)
    cpu_share        CPU time of the serving process over wall time, during the warm-up
    gflops           GFLOP/s reached; peak_gflops and peak_ratio None where the peak is not known
    bytes_per_query, arithmetic_ms (operations / peak), bytes_ms (bytes / bandwidth), bytes_from ("cache" or "memory")
    bound_by         "arithmetic", "memory" (the cache's bandwidth included), "overhead", or None where it is not known
    sentence         the same for people, or why it is not known

    Raises ValueError for a time that is not above 0.
    """
    if not latency_mean_ms > 0:
        raise ValueError(f"expected a mean latency above 0 ms, got {latency_mean_ms!r}")
    gflops = work.giga_flops / latency_mean_ms * 1e3
    made = {
        "cpu_share": cpu_share,
        "threads": peaks.threads,
        "precision": "int8" if work.int8_share > 0.5 else "float32",
        "gflops": gflops,
        "bytes_per_query": work.n_bytes,
    }
    if peaks.float32_gflops is None or peaks.int8_gflops is None or peaks.memory_gb_per_s is None:
        unknown = dict.fromkeys(("peak_gflops", "peak_ratio", "arithmetic_ms", "bytes_ms", "bytes_from", "bound_by"))
        return {**made, **unknown, "sentence": f"What binds it is not known: {peaks.why}."}
    peak_gflops = 1.0 / (work.int8_share / peaks.int8_gflops + (1.0 - work.int8_share) / peaks.float32_gflops)
    source, gb_per_s = _bandwidth(work, peaks, peaks.memory_gb_per_s)
    arithmetic_ms = work.giga_flops / peak_gflops * 1e3
    bytes_ms = work.n_bytes / gb_per_s / 1e6
    made |= {
        "peak_gflops": peak_gflops,
        "peak_ratio": gflops / peak_gflops,
        "arithmetic_ms": arithmetic_ms,
        "bytes_ms": bytes_ms,
        "bytes_from": source,
    }
    return {**made, **_verdict(made, latency_mean_ms)}


def _bandwidth(work: Work, peaks: Peaks, memory_gb_per_s: float) -> tuple[str, float]:
    """Where the bytes come from, and 10^9 of them a second."""
    if peaks.cache_bytes and peaks.cache_gb_per_s and work.n_bytes <= peaks.cache_bytes / 2:
        return "cache", max(peaks.cache_gb_per_s, memory_gb_per_s)
    return "memory", memory_gb_per_s


def _verdict(made: Mapping[str, Any], latency_ms: float) -> dict[str, str]:
    arithmetic_ms, bytes_ms = made["arithmetic_ms"], made["bytes_ms"]
    bound_by = "arithmetic" if arithmetic_ms >= bytes_ms else "memory"
    reached = (
        f"{made['gflops']:.3g} of {made['peak_gflops']:.3g} GFLOP/s ({made['peak_ratio']:.0%}); arithmetic alone takes "
        f"{arithmetic_ms:.3g} ms, the bytes from {made['bytes_from']} {bytes_ms:.3g} ms, a query {latency_ms:.3g} ms"
    )
    if latency_ms > OVERHEAD_FACTOR * max(arithmetic_ms, bytes_ms):
        return {"bound_by": "overhead", "sentence": f"Bound by overhead per call: {reached}."}
    return {"bound_by": bound_by, "sentence": f"Bound by {bound_by}: {reached}."}
