"""The probe: one fresh process that loads one artifact and measures it, importing only NumPy and its runtime.

Its passes, in this order: cold start and memory, with neither measuring data nor the anchor in the process; times, in
turn with the anchor's; outputs. The first two run on the measuring cores alone, and only if times are requested. The
pass over all outputs is not timed and uses every core. A further request times again. Results are raw: samples and
outputs in one .npz file, from which the coordinator computes metrics (`measure.results`).
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from explorer.measure.conditions import PhaseTimer, SystemState
from explorer.measure.outputs import Outputs, outputs_of
from explorer.measure.timing import Budget
from explorer.records import Variant
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.runtime import runtime, runtime_modules
from explorer.runtimes.staged import Array, StagedExecutor
from explorer.system.worker_loop import Answers, failure_of, serve
from explorer.typed_json import to_json

if TYPE_CHECKING:
    from explorer.measure.scenarios.scenario import Load

MEMORY_QUERIES = 32


@final
class Probe:
    """One artifact's probe: the first request measures it, every further one times it again."""

    def __init__(self) -> None:
        self._load: Load | None = None
        self._outputs: Outputs | None = None
        self._facts: dict[str, Any] = {}
        self._phase_timer: PhaseTimer | None = None

    def handle(self, request: dict[str, Any], answers: Answers) -> None:
        """Answer one request, as `explorer.measure.probing` makes it."""
        try:
            answers.result(self._time_more(request, answers) if self._facts else self._measure(request, answers))
        except MemoryError:
            answers.failure("out of memory", "the serving process ran out of memory")
        except Exception as error:  # whatever a runtime raises is this trial's failure, with its message
            answers.failure(*failure_of(error, "probe"))

    def _measure(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        self._phase_timer = phase_timer = PhaseTimer(int(request["started_ns"]))
        phase_timer.end("start")
        answers.phase("import")
        artifact = Artifact.read(Path(request["artifact"]))
        variant = Variant.from_json(request["variant"])
        for module in runtime(artifact.facts.runtime).imports(artifact.facts.quantization):
            importlib.import_module(module)
        phase_timer.end("import")
        runtime_mib = resident_mib()["VmRSS"]
        answers.phase("load")
        executor = artifact.load(variant["threads"], variant, request["task"])
        phase_timer.end("load")
        inputs = np.load(request["inputs"], mmap_mode="r")
        if request["is_timed"]:
            answers.phase("first answer")
            peak_mib = _peak_mib(executor, inputs, variant["batch_size"], phase_timer)
            self._facts = {"runtime_mib": runtime_mib, "peak_memory_mib": peak_mib}
        self._facts["modules"] = sorted(runtime_modules() & sys.modules.keys())
        if request["is_timed"]:
            from explorer.measure.scenarios.scenario import scenario_named  # no part of cold start and memory

            answers.phase("warm-up")
            self._load = scenario_named(request["scenario"]).load(executor, inputs, variant)
            self._time(self._load, request, answers)
        answers.phase("quality")
        os.sched_setaffinity(0, request["all_cores"])  # the threads of the pool inherit them
        is_invariant = artifact.facts.is_batch_invariant
        n_workers = max(1, len(request["all_cores"]) // variant["threads"])
        known = np.load(request["known_outputs"])["outputs"] if request["known_outputs"] else None
        self._outputs = outputs_of(executor, inputs, variant["batch_size"], is_invariant, n_workers, known)
        return self._result(request, is_comparable=is_invariant or variant["batch_size"] == 1)

    def _time_more(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        assert self._load is not None
        self._time(self._load, request, answers)
        return self._result(request, is_comparable=self._facts["n_answers"] > 0)

    def _time(self, load: Load, request: dict[str, Any], answers: Answers) -> None:
        """Warm up and time the load on the measuring cores, and record the conditions meanwhile."""
        assert self._phase_timer is not None
        answers.phase("warm-up")
        self._phase_timer.begin()
        processor, wall = time.process_time(), time.perf_counter()
        self._facts["is_steady"] = load.warm_up()
        self._facts["busy_cores"] = (time.process_time() - processor) / (time.perf_counter() - wall)
        self._phase_timer.end("warm-up")
        answers.phase("timing")
        before = SystemState.read(request["cores"])
        level_ns = None if request["level_ns"] is None else np.array(request["level_ns"])
        self._facts["is_narrow"] = load.run(Budget(**request["budget"]), level_ns)
        self._facts["conditions"] = to_json(before.until(SystemState.read(request["cores"])))
        self._phase_timer.begin()
        self._facts |= load.energy()
        self._phase_timer.end("energy pass")

    def _result(self, request: dict[str, Any], is_comparable: bool) -> dict[str, Any]:
        made = self._outputs
        assert made is not None
        raw: dict[str, NDArray[Any]] = {"outputs": made.outputs, "exits": made.exits, "answers": made.answers}
        if self._load is not None and self._phase_timer is not None:
            raw |= self._load.recorded()
            self._facts["phases"] = to_json(self._phase_timer.phases)
            self._facts |= self._load.compared(made) if is_comparable else {"n_answers": 0, "n_different": 0}
        with Path(request["raw"]).open("wb") as file:
            np.savez(file, **raw)  # type: ignore[arg-type]
        return self._facts


def _peak_mib(executor: StagedExecutor, inputs: Array, batch_size: int, phase_timer: PhaseTimer) -> float:
    """Return the peak memory in MiB after MEMORY_QUERIES queries; first answer and memory pass are phases."""
    first = inputs[np.resize(np.arange(len(inputs)), batch_size)]
    executor.classify(first)
    phase_timer.end("first answer")
    for _ in range(1, MEMORY_QUERIES):
        executor.classify(first)
    phase_timer.end("memory pass")
    return resident_mib()["VmHWM"]


def resident_mib() -> dict[str, float]:
    """Return this process's resident memory now (VmRSS) and at its peak (VmHWM), in MiB, from /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


if __name__ == "__main__":
    serve(Probe().handle, lambda request: list(request["cores"]))
