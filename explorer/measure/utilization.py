"""Compute how much of the machine a variant uses, and what bounds it: arithmetic, memory, or the overhead of each call.

The roofline model of Williams, Waterman & Patterson, "Roofline: an insightful visual performance model for multicore
architectures" (Communications of the ACM 52(4), 2009), with the peaks that this machine reaches and not the data
sheet's.

Assumed traffic: a query reads the weights of the segments that it enters once, and reads and writes each layer's
activations once. Where a query's bytes fit into half of the last-level cache (the other half is left to other work),
all of them, weights included, come from the cache at its rate; otherwise all come from memory. The cores' smaller
caches are faster than either, so the time for bytes is an upper bound, and a loose one for small networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from explorer.measure.roofline_peaks import Peaks
from explorer.observation import MemoryBytes, Utilization
from explorer.runtimes.artifact import ArtifactFacts

OVERHEAD_FACTOR = 3.0
"""Above this multiple of the roofline's time a query is bound by overhead: dispatch, allocation, layout changes, or
kernels without the processor's vector instructions. Good kernels reach a third of the matrix product's rate on the
small and irregular products of a network's layers.
"""

_INT8_TRAFFIC = 0.25  # of float32's


@dataclass(frozen=True, slots=True)
class Work:
    """Work of the average query.

    giga_flops  10^9 operations, two per multiply-accumulate
    int8_share  share of the operations executed in int8, in [0, 1]
    n_bytes     weights and activations, read and written
    """

    giga_flops: float
    int8_share: float
    n_bytes: float


def work_of(facts: ArtifactFacts, memory: MemoryBytes, exit_shares: Sequence[float], batch_size: int) -> Work:
    """Return the work of an artifact, from its artifact.json and the memory that its network needs.

    `exit_shares` are the shares of examples that leave at each exit. A batch reads a segment's weights if any of its
    examples enters it. Dynamic int8 counts as float32: its weights are a quarter, but it quantizes activations in every
    query, and its convolutions do not reach the rate of the int8 product. Raises ValueError for memory of another
    number of segments.
    """
    entering = list(accumulate(reversed(exit_shares)))[::-1]
    int8_share = facts.int8_mac_share if facts.quantization == "static_int8" else 0.0
    traffic_ratio = 1.0 - (1.0 - _INT8_TRAFFIC) * int8_share
    mega_macs, n_bytes = 0.0, 0.0
    for share, segment, counted in zip(entering, facts.segments, memory.segments, strict=True):
        mega_macs += batch_size * share * segment.mega_macs
        n_bytes += batch_size * share * traffic_ratio * counted.traffic
        n_bytes += (1.0 - max(0.0, 1.0 - share) ** batch_size) * counted.parameters
    return Work(2 * mega_macs / 1e3, int8_share, n_bytes)


def utilization(work: Work, latency_mean_ms: float, cpu_share: float, peaks: Peaks) -> Utilization:
    """Return a variant's use of the machine.

    `latency_mean_ms` is the mean time of a query: operations divided by it are an average rate. `cpu_share` is the
    processor time of the serving process over wall time, during the warm-up. Raises ValueError for a time that is not
    above 0.
    """
    if not latency_mean_ms > 0:
        raise ValueError(f"expected a mean latency above 0 ms, got {latency_mean_ms!r}")
    known = Utilization(
        cpu_share=cpu_share,
        threads=peaks.threads,
        precision="int8" if work.int8_share > 0.5 else "float32",
        latency_ms=latency_mean_ms,
        gflops=work.giga_flops / latency_mean_ms * 1e3,
        bytes_per_query=work.n_bytes,
    )
    if peaks.float32_gflops is None or peaks.int8_gflops is None or peaks.memory_gb_per_s is None:
        return replace(known, why=peaks.why)
    peak_gflops = 1.0 / (work.int8_share / peaks.int8_gflops + (1.0 - work.int8_share) / peaks.float32_gflops)
    source, gb_per_s = _bandwidth(work, peaks, peaks.memory_gb_per_s)
    arithmetic_ms = work.giga_flops / peak_gflops * 1e3
    bytes_ms = work.n_bytes / gb_per_s / 1e6
    is_overhead = latency_mean_ms > OVERHEAD_FACTOR * max(arithmetic_ms, bytes_ms)
    return replace(
        known,
        peak_gflops=peak_gflops,
        arithmetic_ms=arithmetic_ms,
        bytes_ms=bytes_ms,
        bytes_from=source,
        bound_by="overhead" if is_overhead else "arithmetic" if arithmetic_ms >= bytes_ms else "memory",
    )


def _bandwidth(work: Work, peaks: Peaks, memory_gb_per_s: float) -> tuple[Literal["cache", "memory"], float]:
    """Return where the bytes come from, and that source's 10^9 bytes per second."""
    if peaks.cache_bytes and peaks.cache_gb_per_s and work.n_bytes <= peaks.cache_bytes / 2:
        return "cache", max(peaks.cache_gb_per_s, memory_gb_per_s)
    return "memory", memory_gb_per_s


def utilization_sentence(found: Utilization) -> str:
    """Return what bounds a query, or why that is not known."""
    if not found.peak_gflops:
        return f"What binds it is not known: {found.why}."
    bound_by = "overhead per call" if found.bound_by == "overhead" else found.bound_by
    return (
        f"Bound by {bound_by}: {found.gflops:.3g} of {found.peak_gflops:.3g} GFLOP/s "
        f"({found.gflops / found.peak_gflops:.0%}); arithmetic alone takes {found.arithmetic_ms:.3g} ms, the bytes "
        f"from {found.bytes_from} {found.bytes_ms:.3g} ms, a query {found.latency_ms:.3g} ms."
    )
