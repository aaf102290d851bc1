"""The probe: one fresh process that loads one artifact and measures it, importing only NumPy and its runtime.

Passes, in this order: cold start and memory, with neither measuring data nor the anchor in the process; times, in turn
with the anchor's; accuracy. The first two run on the measuring cores alone, and not at all where no time is asked for;
the last measures none, so it takes every core. Asked to go on, it times again. Results are raw: samples and logits in
one .npz; `measure.metrics` makes the numbers of them.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from explorer.measure.answering import Answers, failure_of, serve
from explorer.measure.conditions import Look
from explorer.measure.phases import Watch
from explorer.measure.predicting import Predicted, predict
from explorer.measure.queries import Queries
from explorer.measure.timing import Budget
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.registry import runtime
from explorer.runtimes.staged import Array, StagedExecutor

MEMORY_QUERIES = 32
_COLD_START = ("start", "import", "load", "first answer")


@final
class Probe:
    """The process's one artifact. It answers `measure` once, and then `go on` as often as it is asked."""

    def __init__(self) -> None:
        self._queries: Queries | None = None
        self._predicted: Predicted | None = None
        self._facts: dict[str, Any] = {}
        self._conditions: list[dict[str, Any]] = []
        self._watch: Watch | None = None

    def handle(self, request: dict[str, Any], answers: Answers) -> None:
        """Answer one request: as `explorer.measure.probing` makes it."""
        try:
            answers.result(self._timed_on(request, answers) if self._facts else self._measured(request, answers))
        except MemoryError:
            answers.failure("out of memory", "the serving process ran out of memory")
        except Exception as error:  # whatever a runtime raises is this trial's failure, with its own words
            answers.failure(*failure_of(error, "probe"))

    def _measured(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        self._watch = watch = Watch(int(request["started_ns"]))
        watch.end("start")
        answers.phase("import")
        artifact = Artifact.read(Path(request["artifact"]))
        for module in runtime(artifact.facts["runtime"]).imports(artifact.facts["quantization"]):
            importlib.import_module(module)
        watch.end("import")
        runtime_mib = resident_mib()["VmRSS"]
        answers.phase("load")
        executor = artifact.load(request["threads"])
        watch.end("load")
        images = np.load(request["images"], mmap_mode="r")
        if request["is_timed"]:
            answers.phase("first answer")
            self._facts = {"runtime_mib": runtime_mib, "peak_memory_mib": _peak_mib(executor, images, request, watch)}
            self._facts["cold_start_ms"] = [1e3 * watch.phases[name].wall_s for name in _COLD_START]
        self._facts["modules"] = sorted(
            {name.partition(".")[0] for name in sys.modules} & {"torch", "onnxruntime", "torchao"}
        )
        if request["is_timed"]:
            answers.phase("warm-up")
            anchor = None if request["anchor"] is None else Artifact.read(Path(request["anchor"])).load(1)
            self._queries = Queries(executor, images, request["batch_size"], anchor)
            self._time(request, answers)
        answers.phase("accuracy")
        os.sched_setaffinity(0, request["all_cores"])  # the threads of the pool inherit them
        is_invariant = bool(artifact.facts["is_batch_invariant"])
        n_workers = max(1, len(request["all_cores"]) // request["threads"])
        known = np.load(request["known_logits"])["logits"] if request["known_logits"] else None
        self._predicted = predict(executor, images, request["batch_size"], is_invariant, n_workers, known)
        return self._result(request, is_comparable=is_invariant or request["batch_size"] == 1)

    def _timed_on(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        self._time(request, answers)
        return self._result(request, is_comparable=self._facts["n_answers"] > 0)

    def _time(self, request: dict[str, Any], answers: Answers) -> None:
        """Warm up, and time queries on the measuring cores, with an eye on what else happens there."""
        assert self._queries is not None
        assert self._watch is not None
        answers.phase("warm-up")
        self._watch.begin()
        processor, wall = time.process_time(), time.perf_counter()
        self._facts["is_steady"] = self._queries.timer.warm_up()
        self._facts["busy_cores"] = (time.process_time() - processor) / (time.perf_counter() - wall)
        self._watch.end("warm-up")
        answers.phase("timing")
        before = Look.now(request["cores"])
        self._facts["is_narrow"] = self._queries.timer.run(Budget(**request["budget"]))
        self._conditions.append(before.until(Look.now(request["cores"])).to_json())
        self._watch.begin()
        self._facts |= self._queries.energy()
        self._watch.end("energy pass")

    def _result(self, request: dict[str, Any], is_comparable: bool) -> dict[str, Any]:
        """Write the raw results; the facts."""
        assert self._predicted is not None
        raw: dict[str, NDArray[Any]] = {
            "logits": self._predicted.logits,
            "exits": self._predicted.exits,
            "predictions": self._predicted.predictions,
        }
        if self._queries is not None and self._watch is not None:
            raw |= self._queries.raw()
            self._facts["phases"] = self._watch.to_json()
            self._facts |= (
                self._queries.compared(self._predicted) if is_comparable else {"n_answers": 0, "n_different": 0}
            )
        with Path(request["raw"]).open("wb") as file:
            np.savez(file, **raw)  # type: ignore[arg-type]
        return {**self._facts, "conditions": self._conditions}


def _peak_mib(executor: StagedExecutor, images: Array, request: dict[str, Any], watch: Watch) -> float:
    """Peak memory after enough queries for it to be reached; the first answer and the rest are phases of `watch`."""
    first = images[np.resize(np.arange(len(images)), request["batch_size"])]
    executor.classify(first)
    watch.end("first answer")
    for _ in range(1, MEMORY_QUERIES):
        executor.classify(first)
    watch.end("memory pass")
    return resident_mib()["VmHWM"]


def resident_mib() -> dict[str, float]:
    """This process's resident memory now (VmRSS) and at its peak (VmHWM), in MiB, from /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


if __name__ == "__main__":
    serve(Probe().handle, lambda request: list(request["cores"]))
