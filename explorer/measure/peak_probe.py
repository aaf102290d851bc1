"""The child that finds the machine's peaks: matrix products of either precision, and reads from cache and memory.

A peak is a maximum, so each is the best of many short repeats: one that a neighbor disturbed is not the best.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer import environment
from explorer.measure.answering import Answers, serve
from explorer.runtimes.onnx_products import float32_product, int8_product
from explorer.runtimes.onnxruntime import session_of

# The small ones are short enough for a busy machine, the large one for many threads.
_SIZES = (256, 512, 1024)
_BLOCK_BYTES = 4 * 2**20
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_LEAST_BYTES = 256 * 2**20


def measure(request: dict[str, Any], answers: Answers) -> None:
    """Answer `{"threads", "seconds"}` with the peaks; `seconds` is for each of the eight rates."""
    try:
        answers.result(peaks(request["threads"], request["seconds"]))
    except Exception as error:  # whatever a runtime raises is the reason why there is no peak, in its own words
        answers.failure(f"{type(error).__name__} in the probe", f"{type(error).__name__}: {error}")


def peaks(
    threads: int,
    seconds: float,
    sizes: tuple[int, ...] = _SIZES,
    cache_bytes: int | None = None,
    memory_array_bytes: int | None = None,
) -> dict[str, Any]:
    """GFLOP/s of both precisions and GB/s read, the last-level cache's size with them.

    Memory is an array of two last-level caches, 256 MiB or more, but at most a quarter of the memory: a block has left
    the cache when its turn comes again, and a virtual machine may take seconds for each further GiB. The cache is an
    array of a quarter of it.
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
    """The largest cache of the first core, in bytes; None where the system does not tell."""
    sizes = [file.read_text(encoding="ascii").strip() for file in root.glob("index*/size")]
    return max((int(size[:-1]) * 1024 for size in sizes if size.endswith("K")), default=None)


def _float32_gflops(size: int, threads: int, seconds: float) -> float:
    """The better one of NumPy's product (its threads are set in the environment) and ONNX Runtime's."""
    left = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    session = session_of(float32_product(size), threads)
    fastest = min(_fastest_s(lambda: left @ left, seconds / 2), _fastest_s(lambda: session(left), seconds / 2))
    return 2 * size**3 / fastest / 1e9


def _int8_gflops(size: int, threads: int, seconds: float) -> float:
    left = np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8)
    session = session_of(int8_product(size), threads)
    return 2 * size**3 / _fastest_s(lambda: session(left), seconds) / 1e9


def read_gb_per_s(n_bytes: int, threads: int, seconds: float) -> float:
    """10^9 bytes a second that NumPy's maximum reads of an array, block after block, each block by all threads.

    When a block's turn comes again, all others were read meanwhile: what is much larger than a cache has left it.
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
    """The shortest of at least three times, after one that does not count."""
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
