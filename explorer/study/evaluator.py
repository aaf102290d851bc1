"""The evaluator of real studies: the builder makes an artifact, a fresh probe measures it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import final

from explorer.errors import DeviceNotAvailable, ExplorerError, RuntimeNotAvailable
from explorer.measure.energy import EnergyCounter
from explorer.measure.metrics import Prices
from explorer.measure.probing import ProbeSettings, probe
from explorer.measure.quality_pass import outputs_cache, run_quality_pass
from explorer.measure.results import Measured
from explorer.measure.roofline_peaks import Peaks, cache_file, machine_peaks
from explorer.measure.utilization import utilization, work_of
from explorer.observation import Utilization
from explorer.records import Failure, Measurement, Progress, Stage, TrialOutcome, Variant
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.runtime import runtime
from explorer.space.values import SearchSpace
from explorer.study.builder_process import BuilderProcess, Built
from explorer.study.evaluation import MAX_ATTEMPTS, CanReachFront, OnProgress, Prepared
from explorer.study.store.files import Artifacts, store_sample_examples
from explorer.system.disk_errors import FAILURE_KIND, disk_error_of
from explorer.system.worker_process import Stop, WorkerFailed
from explorer.tasks.task import task_named


@final
class MeasuringEvaluator:
    """Builds in one long-lived builder process and measures in one fresh probe per trial; implements `Evaluator`."""

    def __init__(
        self,
        space: SearchSpace,
        folder: Path,
        data_root: Path | None,
        stop: Stop | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        """`left_out` maps parts of the requested space that are not in `space` to the reason, for provenance."""
        self._space = space
        self._left_out = left_out or {}
        self._folder = folder
        self._artifacts = Artifacts(folder / "artifacts")
        self._builder = BuilderProcess(space, self._artifacts.folder, data_root, stop)
        self._stop = stop

    def prepare(self, on_progress: OnProgress) -> Prepared:
        """Start the builder, decode the data, load or train the base network.

        Raises NotAvailable, ModelError, Interrupted, OSError, or ExplorerError for other failures of the builder.
        """
        self._check_available()
        try:
            made = self._builder.start(on_progress)
        except WorkerFailed as failed:
            raise ExplorerError(f"the builder could not start: {failed.reason}\n{failed.log}".rstrip()) from failed
        if not self._left_out:
            return made
        return replace(made, provenance={**made.provenance, "left_out": dict(self._left_out)})

    def evaluate(
        self, variant: Variant, number: int, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        """Build, store and measure. Raises as `BuilderProcess.build` except WorkerFailed, and Interrupted."""
        stages: list[Stage] = []
        try:
            built = self._build(variant, on_progress)
            stages += built.stages
            name = f"trial-{number:05d}"
            for _ in range(MAX_ATTEMPTS):
                measured, stage = self._measure(built.artifact, variant, name, on_progress, can_reach_front)
                stages.append(stage)
                if not measured.reasons:
                    break
        except WorkerFailed as failed:
            return _failed(variant, failed, stages)
        used = self._utilization(built, variant, number, measured)
        observation = replace(measured.observation, build=built.facts, utilization=used)
        return TrialOutcome(
            variant, measured.metrics, built.artifact.id, tuple(stages), observation, reasons=measured.reasons
        )

    def remeasure(
        self, variant: Variant, artifact: str, name: str, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        """Measure a stored artifact once more. Raises Interrupted, OSError."""
        stored = self._artifacts.stored(artifact)
        if isinstance(stored, Failure):
            return TrialOutcome(variant, failure=stored)
        try:
            measured, stage = self._measure(stored, variant, name, on_progress, can_reach_front)
        except WorkerFailed as failed:
            return _failed(variant, failed, [])
        return TrialOutcome(
            variant, measured.metrics, artifact, (stage,), measured.observation, reasons=measured.reasons
        )

    def quality_on_test_split(self, variant: Variant, artifact: str, on_progress: OnProgress) -> Measurement:
        """Return the main metric on the test split; outputs are cached. Raises Interrupted, OSError."""
        stored, outputs = self._artifacts.stored(artifact), outputs_cache()
        if isinstance(stored, Failure):
            return Measurement.unknown(stored.reason)
        test = self._builder.test
        assert test is not None
        main = task_named(test.task).main_metric
        on_progress(Progress(f"test {main.title}"))
        try:
            return run_quality_pass(stored, variant, test, outputs, self._stop).quality[main.name]
        except WorkerFailed as failed:
            _check_disk(failed)
            return Measurement.unknown(f"the test examples could not be run: {failed.reason}")

    def close(self) -> None:
        """End the builder."""
        self._builder.close()

    def _check_available(self) -> None:
        """Raise RuntimeNotAvailable or DeviceNotAvailable."""
        for name in self._space.parameters["runtime"].values:
            if why := runtime(str(name)).missing():
                raise RuntimeNotAvailable(f"the search space asks for a runtime that is not installed: {why}")
        wanted = [*(o.metric for o in self._space.objectives), *(c.metric for c in self._space.constraints)]
        counter = EnergyCounter.open()
        if "energy_mj" in wanted and counter.why:
            raise DeviceNotAvailable(f"the search space asks for energy_mj, and {counter.why}")

    def _build(self, variant: Variant, on_progress: OnProgress) -> Built:
        built = self._builder.build(variant, on_progress)
        self._artifacts.trust(built.artifact)
        return built

    def _utilization(self, built: Built, variant: Variant, number: int, measured: Measured) -> Utilization:
        """Return how much of the machine the variant uses. The baseline does not wait until the peaks are measured."""
        threads = variant["threads"]
        if number > 0 or cache_file(threads).is_file():
            peaks = machine_peaks(threads, self._stop, self._builder.processes())
        else:
            peaks = Peaks.unknown(threads, "the machine's peaks were not measured yet (`explore device` measures them)")
        shares = [one.share for one in measured.observation.exits]
        work = work_of(built.artifact.facts, built.facts.memory_bytes, shares, variant["batch_size"])
        latency_mean_ms = measured.metrics["latency_mean_ms"].value
        assert latency_mean_ms is not None
        return utilization(work, latency_mean_ms, measured.observation.busy_cores, peaks)

    def _measure(
        self,
        artifact: Artifact,
        variant: Variant,
        name: str,
        on_progress: OnProgress,
        can_reach_front: CanReachFront,
    ) -> tuple[Measured, Stage]:
        validation = self._builder.validation
        assert validation is not None
        store_sample_examples(self._folder, validation.inputs, validation.targets, self._space)
        device = self._space.device
        prices = Prices(device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)
        settings = ProbeSettings(
            validation,
            prices,
            outputs_cache=outputs_cache(),
            stop=self._stop,
            keep_off=self._builder.processes(),
            on_progress=on_progress,
            scenario=self._space.scenario,
            measuring=self._space.measure,
        )
        return probe(artifact, variant, settings, name, can_reach_front=can_reach_front)


def _failed(variant: Variant, failed: WorkerFailed, stages: list[Stage]) -> TrialOutcome:
    """Return the outcome of a worker's failure. Raises OSError when the disk is full."""
    _check_disk(failed)
    return TrialOutcome(variant, stages=tuple(stages), failure=failed.failure)


def _check_disk(failed: WorkerFailed) -> None:
    """Raise OSError when a worker failed because the disk is full, which is no trial's fault."""
    if failed.kind == FAILURE_KIND:
        raise disk_error_of(failed.reason) from failed
