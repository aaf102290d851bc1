"""The probe: one fresh process that loads one artifact and measures it, importing only NumPy and its runtime.

Passes, in this order: memory (and cold start) with no measuring data in the process, latency, accuracy. The first two
run on the measuring cores alone, and not at all where no time is asked for; the last measures none, so it takes every
core. Results are raw: samples and logits in one .npz; `measure.metrics` makes the numbers of them.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.measure.answering import Answers, serve
from explorer.measure.energy import EnergyCounter
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.registry import runtime
from explorer.runtimes.staged import StagedExecutor, exits_taken

MEMORY_QUERIES = 32
WARM_UP_QUERIES, WARM_UP_S = 20, 0.2
MIN_QUERIES, MIN_S = 200, 1.0
_ACCURACY_BATCH = 50
_DETERMINISM_IMAGES = 64
_ORDER_SEED = 0
_TIMED_IMAGES = 2048

_Made = TypeVar("_Made")


def measure(request: dict[str, Any], answers: Answers) -> None:
    """Answer one request: as `explorer.measure.probing` makes it."""
    try:
        answers.result(_measure(request, answers))
    except MemoryError:
        answers.failure("out of memory", "the serving process ran out of memory")
    except OSError as error:
        kind = "disk full" if error.errno == errno.ENOSPC else "OSError in the probe"
        answers.failure(kind, str(error))
    except Exception as error:  # whatever a runtime raises is this trial's failure, with its own words
        answers.failure(f"{type(error).__name__} in the probe", f"{type(error).__name__}: {error}")


def _measure(request: dict[str, Any], answers: Answers) -> dict[str, Any]:
    answers.phase("load")
    artifact = Artifact.read(Path(request["artifact"]))
    for module in runtime(artifact.facts["runtime"]).modules[:1]:
        importlib.import_module(module)
    memory_before = resident_mib()["VmRSS"]
    executor = artifact.load(request["threads"])
    images = np.load(request["images"], mmap_mode="r")
    raw: dict[str, NDArray[Any]] = {}
    facts: dict[str, Any] = {}
    if request["is_timed"]:
        facts = _occupy_memory(executor, images, request, memory_before, answers)
        answers.phase("latency")
        facts |= _time_queries(executor, images, request["batch_size"], raw)

    answers.phase("accuracy")
    os.sched_setaffinity(0, request["all_cores"])  # the threads of the pool inherit them
    _predict(executor, artifact, images, request, raw)
    with Path(request["raw"]).open("wb") as file:
        np.savez(file, **raw)  # type: ignore[arg-type]
    modules = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "onnxruntime", "torchao"})
    return {**facts, "modules": modules}


def _occupy_memory(
    executor: StagedExecutor, images: NDArray[np.uint8], request: dict[str, Any], memory_before: float, answers: Answers
) -> dict[str, Any]:
    """The first query, and enough of them for the memory to have reached its peak."""
    answers.phase("memory")
    first = images[np.resize(np.arange(len(images)), request["batch_size"])]
    executor.classify(first)
    cold_start_ms = (time.monotonic_ns() - request["started_ns"]) / 1e6
    for _ in range(1, MEMORY_QUERIES):
        executor.classify(first)
    peak_mib = resident_mib()["VmHWM"]
    return {
        "cold_start_ms": cold_start_ms,
        "peak_memory_mib": peak_mib,
        "model_memory_mib": peak_mib - memory_before,
    }


def resident_mib() -> dict[str, float]:
    """This process's resident memory now (VmRSS) and at its peak (VmHWM), in MiB, from /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def _time_queries(
    executor: StagedExecutor, images: NDArray[np.uint8], batch: int, raw: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    """Single-stream: one query after the other over real images, at least 200 and for at least 1 s.

    Every measurement takes the images in the same seeded order, so that two variants are timed on the same ones.
    """
    order = np.random.default_rng(_ORDER_SEED).permutation(len(images))
    shuffled = images[np.resize(order, max(batch, min(len(order), _TIMED_IMAGES)))]
    n_queries = len(shuffled) // batch
    queries = [shuffled[query * batch : (query + 1) * batch] for query in range(n_queries)]
    warm_until = time.perf_counter() + WARM_UP_S
    warmed = 0
    while warmed < WARM_UP_QUERIES or time.perf_counter() < warm_until:
        executor.classify(queries[warmed % n_queries])
        warmed += 1
    samples_ns: list[int] = []
    exits: list[NDArray[np.int64]] = []
    clock, classify = time.perf_counter_ns, executor.classify
    counter = EnergyCounter.open()
    gc.collect()
    gc.disable()
    try:
        energy_before = counter.read_uj()
        used_before = time.thread_time_ns()
        started = clock()
        until = started + int(MIN_S * 1e9)
        while len(samples_ns) < MIN_QUERIES or clock() < until:
            query = queries[len(samples_ns) % n_queries]
            before = clock()
            _, taken = classify(query)
            samples_ns.append(clock() - before)
            exits.append(taken)
        processor_share = (time.thread_time_ns() - used_before) / (clock() - started)
        energy_uj = counter.used_uj(energy_before)
    finally:
        gc.enable()
    raw["latency_ns"] = np.asarray(samples_ns, dtype=np.int64)
    raw["latency_exits"] = np.stack(exits)
    # The thread that asks waits for its helpers actively: less than all of the time means that others had the core.
    facts: dict[str, Any] = {"processor_share": processor_share, "energy_mj": None, "energy_why": counter.why}
    if energy_uj is not None:
        facts["energy_mj"] = energy_uj / 1e3 / (len(samples_ns) * batch)
    return facts


def _predict(
    executor: StagedExecutor,
    artifact: Artifact,
    images: NDArray[np.uint8],
    request: dict[str, Any],
    raw: dict[str, NDArray[Any]],
) -> None:
    """Logits of every exit on all images, and what each image got: its exit and its class.

    Where an image's logits depend on its neighbors in the batch, the batch is the variant's own.
    """
    is_invariant = artifact.facts["is_batch_invariant"]
    batch = _ACCURACY_BATCH if is_invariant else request["batch_size"]
    n_workers = max(1, len(request["all_cores"]) // request["threads"])
    _check_determinism(executor, images[:_DETERMINISM_IMAGES])
    known = request.get("known_logits")
    if known:
        logits = np.load(known)["logits"]
    else:
        logits = np.concatenate(list(_over_batches(executor.all_exits, images, batch, n_workers)), axis=1)
    if not np.isfinite(logits).all():
        raise FloatingPointError("the artifact's logits are not finite numbers")
    if is_invariant or batch == 1:
        exits = exits_taken(logits, executor.threshold)
        taken = np.take_along_axis(logits, exits[None, :, None], axis=0)[0]
    else:
        parts = list(_over_batches(executor.classify, images, batch, n_workers))
        taken = np.concatenate([part for part, _ in parts])
        exits = np.concatenate([part for _, part in parts])
    raw["logits"] = logits
    raw["exits"] = exits
    raw["predictions"] = taken.argmax(axis=1)


def _over_batches(
    call: Callable[[NDArray[np.uint8]], _Made], images: NDArray[np.uint8], batch: int, n_workers: int
) -> Iterator[_Made]:
    """`call` of each batch, in order, `n_workers` at a time; each call takes the variant's own threads."""
    with ThreadPoolExecutor(n_workers) as pool:
        starts = range(0, len(images), batch)
        yield from pool.map(lambda start: call(np.ascontiguousarray(images[start : start + batch])), starts)


def _check_determinism(executor: StagedExecutor, images: NDArray[np.uint8]) -> None:
    batch = np.ascontiguousarray(images)
    if not np.array_equal(executor.all_exits(batch), executor.all_exits(batch), equal_nan=True):
        raise ValueError("the same images gave other logits the second time: switch off dropout and other randomness")


if __name__ == "__main__":
    serve(measure, lambda request: list(request["cores"]))
