"""Run one measurement: a fresh probe on cores of its own, its result stored beside the artifact, its outputs cached."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure.anchor import known_level_ns, learned_level_ns
from explorer.measure.metrics import Prices, Subject
from explorer.measure.quality_pass import (
    DEADLINES_S,
    are_valid_outputs,
    known_outputs,
    probe_request,
    probe_worker,
    read_raw,
    store_outputs,
)
from explorer.measure.results import Measured, Terms, measured
from explorer.measure.scenarios.scenario import scenario_named
from explorer.measure.timing import FULL, QUARTER, Budget
from explorer.records import Measurement, Progress, Stage, Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.values import DEFAULT_MEASURE, DEFAULT_SCENARIO, MeasureSettings
from explorer.system import cores as core_choice
from explorer.system import environment
from explorer.system.files import flush_to_disk, write_json
from explorer.system.worker_process import Stop, WorkerFailed
from explorer.tasks.task import Examples, task_named
from explorer.typed_json import to_json

TIMING_STAGE = "measure"
"""The stage that `probe` reports: until the next stage, other work of this machine can disturb its times."""

_UNDISTURBED = ("warm-up", "timing")


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """What the measurements of a study share.

    validation     the examples that quality is measured on
    outputs_cache  a folder: outputs of the same files on the same inputs are computed once
    stop           interrupts the probe; see `explorer.system.worker_process`
    keep_off       processes that must leave the measuring cores meanwhile; this process is always among them
    scenario       the name of a registered scenario
    measuring      how precise times have to be, and how long one measurement may take
    """

    validation: Examples
    prices: Prices
    outputs_cache: Path
    stop: Stop | None = None
    keep_off: Iterable[int] = ()
    on_progress: Callable[[Progress], None] = lambda progress: None
    scenario: str = DEFAULT_SCENARIO
    measuring: MeasureSettings = DEFAULT_MEASURE

    def budget(self, is_whole: bool) -> Budget:
        """Return the whole timing budget, or a quarter, which gives half the precision."""
        precision, limit_s = self.measuring.precision, self.measuring.at_most_s
        if is_whole:
            return replace(FULL, within_ratio=precision, limit_s=limit_s)
        return replace(QUARTER, within_ratio=2 * precision, limit_s=limit_s / 4)


def probe(
    artifact: Artifact,
    variant: Variant,
    settings: ProbeSettings,
    name: str,
    results: Path | None = None,
    can_reach_front: Callable[[Mapping[str, Measurement]], bool] | None = None,
) -> tuple[Measured, Stage]:
    """Measure `artifact` as `variant` uses it, into `<name>.json` and `.npz` of the folder `results`.

    `results` is `<artifact>/measurements` by default. With `can_reach_front`, a quarter of the timing budget is spent
    first, and the whole only if it returns True for the metrics so far. Raises WorkerFailed, Interrupted, OSError.
    """
    started = time.perf_counter()
    validation = settings.validation
    available = core_choice.available()  # before this process, too, leaves the measuring cores
    cores = _measuring_cores(available, variant["threads"])
    known = known_outputs(artifact, variant, validation.fingerprint, settings.outputs_cache)
    folder = results or artifact.folder / "measurements"
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}.npz.tmp"
    subject = _subject(artifact, variant, settings)
    is_known = are_valid_outputs(known, artifact.n_exits, len(subject.targets))
    try:
        with (
            core_choice.keep_free(cores, [os.getpid(), *settings.keep_off]),
            probe_worker(variant["threads"], settings.stop, _UNDISTURBED) as worker,
        ):
            core_choice.move(worker.process.pid, cores)  # its start belongs to the cold start
            settings.on_progress(Progress(TIMING_STAGE))
            request = {
                **probe_request(worker, artifact, variant, validation, draft),
                "known_outputs": str(known) if is_known else None,
                "all_cores": available,
                "cores": cores,
                "is_timed": True,
                "scenario": settings.scenario,
                "level_ns": None if (level := known_level_ns()) is None else level.tolist(),
            }

            n_learned = 0

            def level_of(medians_ns: NDArray[np.float64]) -> NDArray[np.float64]:
                """Learn from each slice once: a second measurement's trace begins with the first one's."""
                nonlocal n_learned
                fresh, n_learned = medians_ns[n_learned:], len(medians_ns)
                return learned_level_ns(fresh)

            def measure(is_whole: bool) -> tuple[Measured, Mapping[str, NDArray[Any]]]:
                answer = worker.ask({**request, "budget": asdict(settings.budget(is_whole))}, DEADLINES_S)
                return measured(read_raw(draft), answer, subject, Terms(is_whole, tuple(cores), level_of))

            made, raw = measure(can_reach_front is None)
            if can_reach_front is not None and not made.invalid and can_reach_front(made.metrics):
                made, raw = measure(True)
        observation = replace(made.observation, has_known_outputs=is_known)
        made = replace(made, observation=observation)
        store_measurement(draft, raw, folder / name, variant, made)
    finally:
        draft.unlink(missing_ok=True)
    if not is_known:
        store_outputs(known, raw["outputs"])
    return made, Stage(TIMING_STAGE, time.perf_counter() - started)


def _subject(artifact: Artifact, variant: Variant, settings: ProbeSettings) -> Subject:
    examples = settings.validation
    return Subject(
        artifact,
        variant,
        scenario_named(settings.scenario),
        settings.prices,
        task_named(examples.task),
        examples.facts,
        np.load(examples.targets),
    )


def _measuring_cores(available: list[int], threads: int) -> list[int]:
    """Choose among `available`. Raises WorkerFailed for more threads than cores, or than a CPU quota allows."""
    try:
        cores = core_choice.measuring(available, threads)
    except ValueError as error:
        raise WorkerFailed("too few cores", str(error)) from error
    if threads > (n := environment.usable_cores()):
        raise WorkerFailed("too few cores", f"{threads} threads need as many cores, and a quota pays for {n} at once")
    return cores


def store_measurement(
    draft: Path, raw: Mapping[str, NDArray[Any]], target: Path, variant: Variant, made: Measured
) -> None:
    """Store the raw samples [...] by way of `draft`, then the JSON file that marks them as whole. Raises OSError."""
    with draft.open("wb") as file:
        np.savez(file, **raw)  # type: ignore[arg-type]
    flush_to_disk(draft)
    draft.replace(target.with_suffix(".npz"))
    result = {
        "variant": variant.to_json(),
        "metrics": {name: measurement.to_json() for name, measurement in made.metrics.items()},
        "observation": made.observation.to_json(),
        "reasons": to_json(made.reasons),
    }
    write_json(target.with_suffix(".json"), result)
