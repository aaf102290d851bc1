"""The roofline's peaks of this machine, measured once and cached: matrix products and read bandwidths.

This module is also the process that measures them. A peak is a maximum, so each is the best of many short repeats: one
that was disturbed is not the best.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.runtimes.onnxruntime import float32_product, int8_product
from explorer.runtimes.onnxruntime_loading import session_of
from explorer.system import cores as core_choice
from explorer.system import environment
from explorer.system.files import write_json
from explorer.system.hashing import cache_root, content_key
from explorer.system.worker_loop import Answers, serve
from explorer.system.worker_process import Stop, WorkerFailed, WorkerProcess

_VERSION = 3  # raised whenever the same machine gives other peaks
_SECONDS = 0.2  # for each of the probe's eight rates; imports and the large array take as long again
_DEADLINES_S = {"": 60.0}
_SOFTWARE = ("numpy", "onnxruntime")
_RATES = ("float32_gflops", "int8_gflops", "memory_gb_per_s", "cache_gb_per_s")
# The small ones are short enough for a busy machine, the large one for many threads.
_SIZES = (256, 512, 1024)
_BLOCK_BYTES = 4 * 2**20
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_LEAST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Peaks:
    """The best rates of `threads` pinned threads; unknown, with the reason `why`, where they could not be measured.

    float32_gflops   10^9 floating-point operations per second of a float32 matrix product, NumPy's or ONNX Runtime's
    int8_gflops      the same of a uint8 × int8 product in ONNX Runtime
    memory_gb_per_s  10^9 bytes per second that NumPy's maximum reads from an array larger than every cache
    cache_gb_per_s   the same for an array of a quarter of the last-level cache; None where its size is unknown
    cache_bytes      size of the last-level cache
    measured_at      ISO 8601, UTC
    """

    float32_gflops: float | None
    int8_gflops: float | None
    memory_gb_per_s: float | None
    threads: int
    cache_gb_per_s: float | None = None
    cache_bytes: int | None = None
    measured_at: str | None = None
    why: str | None = None

    @classmethod
    def unknown(cls, threads: int, why: str) -> Peaks:
        """Return unknown peaks with the reason."""
        return cls(None, None, None, threads, why=why)

    @property
    def age_s(self) -> float | None:
        """Seconds since the measurement; 0 where the clock was set back since."""
        if self.measured_at is None:
            return None
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.measured_at)).total_seconds())


def machine_peaks(threads: int = 1, stop: Stop | None = None, keep_off: Iterable[int] = ()) -> Peaks:
    """Return the peaks on the cores of a probe with `threads` threads, from the cache or by measuring for some seconds.

    `keep_off` are processes that leave these cores meanwhile; this one is always among them. The cache has one file for
    each processor, runtimes' versions and number of threads. A file that is deleted or cannot be read is measured
    again: delete it when the first measurement met a busy machine. Raises Interrupted.
    """
    try:
        cores = core_choice.measuring(core_choice.available(), threads)
    except ValueError as error:
        return Peaks.unknown(threads, str(error))
    file = cache_file(threads)
    cached = _cached(file, threads)
    if cached is not None:
        return cached
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    request = {"threads": threads, "seconds": _SECONDS, "cores": cores}
    try:
        with (
            core_choice.keep_free(cores, [os.getpid(), *keep_off]),
            WorkerProcess("explorer.measure.roofline_peaks", stop, dict.fromkeys(names, str(threads))) as worker,
        ):
            answer = worker.ask(request, _DEADLINES_S)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        peaks = _checked({**answer, "threads": threads, "measured_at": now}, threads)
    except WorkerFailed as failed:
        return Peaks.unknown(threads, f"the peaks could not be measured: {failed.reason}")
    except (TypeError, ValueError) as error:
        return Peaks.unknown(threads, f"the peaks could not be measured: {error}")
    with contextlib.suppress(OSError):  # a cache that cannot be written costs these seconds again, and nothing else
        write_json(file, {"of": _identity(threads), "peaks": asdict(peaks)})
    return peaks


def cache_file(threads: int) -> Path:
    """Return the path of the cached peaks of this machine on so many threads; it need not exist."""
    return cache_root() / "machine" / f"peaks-{content_key(_identity(threads))}.json"


def _identity(threads: int) -> dict[str, Any]:
    processor = environment.processor()
    software = environment.packages()
    return {
        "version": _VERSION,
        "processor": processor["name"],
        "instructions": processor["instructions"],
        "software": {name: software[name] for name in _SOFTWARE},
        "threads": threads,
    }


def _cached(file: Path, threads: int) -> Peaks | None:
    try:
        return _checked(json.loads(file.read_text(encoding="utf-8"))["peaks"], threads)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _checked(values: dict[str, Any], threads: int) -> Peaks:
    """Return the peaks. Raises TypeError for other fields, ValueError for an invalid rate."""
    peaks = Peaks(**values)
    for name in _RATES:
        rate = getattr(peaks, name)
        is_rate = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < float("inf")
        if not is_rate and not (rate is None and name == "cache_gb_per_s"):
            raise ValueError(f"{name} is {rate!r}, and a number above 0 was expected")
    if peaks.threads != threads or peaks.age_s is None:
        raise ValueError(f"expected the peaks of {threads} threads with their time, got {values!r}")
    return peaks


def measure(request: dict[str, Any], answers: Answers) -> None:
    """Answer `{"threads", "seconds"}` with the peaks; `seconds` is for each of the eight rates."""
    try:
        answers.result(peaks(request["threads"], request["seconds"]))
    except Exception as error:  # whatever a runtime raises is the reason why there is no peak
        answers.failure(f"{type(error).__name__} in the probe", f"{type(error).__name__}: {error}")


def peaks(
    threads: int,
    seconds: float,
    sizes: tuple[int, ...] = _SIZES,
    cache_bytes: int | None = None,
    memory_array_bytes: int | None = None,
) -> dict[str, Any]:
    """Return GFLOP/s in float32 and int8, GB/s read from memory and cache, and the last-level cache's size in bytes.

    Memory is an array of twice the last-level cache, at least 256 MiB but at most a quarter of the memory: a block has
    left the cache when it is read again, and a virtual machine may take seconds for each further GiB. The cache is an
    array of a quarter of its size.
    """
    cache_bytes = cache_bytes or last_level_cache_bytes()
    largest = environment.memory_mib() * 2**20 // 4
    memory_array_bytes = memory_array_bytes or min(max(2 * (cache_bytes or 0), _LEAST_BYTES), largest)
    return {
        "float32_gflops": max(_float32_gflops(size, threads, seconds) for size in sizes),
        "int8_gflops": max(_int8_gflops(size, threads, seconds) for size in sizes),
        "memory_gb_per_s": read_gb_per_s(memory_array_bytes, threads, seconds),
        "cache_gb_per_s": read_gb_per_s(cache_bytes // 4, threads, seconds) if cache_bytes else None,
        "cache_bytes": cache_bytes,
    }


def last_level_cache_bytes(root: Path = _CACHES) -> int | None:
    """Return the size of the largest cache of the first core, in bytes; None where the system does not report it."""
    sizes = [file.read_text(encoding="ascii").strip() for file in root.glob("index*/size")]
    return max((int(size[:-1]) * 1024 for size in sizes if size.endswith("K")), default=None)


def _float32_gflops(size: int, threads: int, seconds: float) -> float:
    """Return the better rate of NumPy's product (its threads are set in the environment) and ONNX Runtime's."""
    left = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    session = session_of(float32_product(size), threads)
    fastest = min(_fastest_s(lambda: left @ left, seconds / 2), _fastest_s(lambda: session(left), seconds / 2))
    return 2 * size**3 / fastest / 1e9


def _int8_gflops(size: int, threads: int, seconds: float) -> float:
    left = np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8)
    session = session_of(int8_product(size), threads)
    return 2 * size**3 / _fastest_s(lambda: session(left), seconds) / 1e9


def read_gb_per_s(n_bytes: int, threads: int, seconds: float) -> float:
    """Return the 10^9 bytes per second that NumPy's maximum reads from an array, block by block, each block by all
    threads.

    When a block is read again, all others were read meanwhile, so an array much larger than a cache is not served by
    it.
    """
    block = min(_BLOCK_BYTES, n_bytes // threads) // 8
    values = np.ones(max(1, n_bytes // 8 // (block * threads)) * block * threads, dtype=np.int64)
    rounds = values.reshape(-1, threads, block)
    with ThreadPoolExecutor(threads) as pool:

        def read(parts: NDArray[np.int64]) -> Any:
            return parts.max() if threads == 1 else list(pool.map(np.max, parts))

        turn = cycle(rounds)
        fastest = _fastest_s(lambda: read(next(turn)), seconds)
    return 8 * block * threads / fastest / 1e9


def _fastest_s(work: Callable[[], Any], seconds: float) -> float:
    """Return the shortest of at least three times, after one that does not count."""
    work()
    fastest, n_done, until = float("inf"), 0, time.perf_counter() + seconds
    while n_done < 3 or time.perf_counter() < until:
        before = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - before)
        n_done += 1
    return fastest


if __name__ == "__main__":
    serve(measure, lambda request: list(request["cores"]))
