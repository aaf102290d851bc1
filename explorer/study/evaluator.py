"""The real evaluator: the builder makes an artifact, a fresh probe measures it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from explorer import environment
from explorer.cache import cache_root
from explorer.disk_errors import FAILURE_KIND, heard
from explorer.errors import DeviceNotAvailable, ExplorerError, RuntimeNotAvailable
from explorer.measure.child import ChildFailed, Stop
from explorer.measure.correction import Reference
from explorer.measure.cost import Prices
from explorer.measure.energy import EnergyCounter
from explorer.measure.judging import judge
from explorer.measure.peak import Peaks, cache_file, machine_peaks
from explorer.measure.probing import Anchor, probe
from explorer.measure.results import Measured
from explorer.measure.utilization import utilization, work_of
from explorer.records import Failure, Measurement, Progress, Stage, TrialOutcome, Variant
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.registry import runtime
from explorer.space.values import SearchSpace
from explorer.study.anchor import RUNTIME, anchor_variant, keep_reference, read_reference
from explorer.study.artifacts import Artifacts
from explorer.study.building import Building, Built, understood
from explorer.study.evaluation import MAX_ATTEMPTS, IsWorthMore, OnProgress, Prepared
from explorer.study.sample_images import keep_sample_images


@final
class MeasuringEvaluator:
    """Builds in one long-lived builder process and measures in one fresh probe a trial; implements `Evaluator`."""

    def __init__(
        self,
        space: SearchSpace,
        folder: Path,
        data_root: Path | None,
        stop: Stop | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        """`left_out`: what of the search space as it was asked for is not in `space`, and why; kept as provenance."""
        self._space = space
        self._left_out = left_out or {}
        self._folder = folder
        self._artifacts = Artifacts(folder / "artifacts")
        self._building = Building(space, self._artifacts.folder, data_root, stop)
        self._stop = stop
        self._anchor: Anchor | None = None
        self._why_no_anchor = ""

    def prepare(self, on_progress: OnProgress) -> Prepared:
        """Start the builder, decode the data, load or train the base network.

        Raises NotAvailable, ModelError, Interrupted, OSError, or ExplorerError when the builder fails otherwise.
        """
        self._check_available()
        try:
            facts = self._building.start(on_progress)
            with understood("what the builder prepared"):
                return _prepared(facts, self._left_out)
        except ChildFailed as failed:
            raise ExplorerError(f"the builder could not start: {failed.reason}\n{failed.log}".rstrip()) from failed

    def evaluate(
        self, variant: Variant, number: int, on_progress: OnProgress, is_worth_more: IsWorthMore
    ) -> TrialOutcome:
        """Build, store and measure. Raises Interrupted, and OSError when the disk is full."""
        stages: list[Stage] = []
        try:
            built = self._build(variant, on_progress)
            stages += built.stages
            if number > 0:  # the first point is soon on screen; the confirmation times the baseline with the anchor
                self._require_anchor(on_progress)
            name = f"trial-{number:05d}"
            measured = self._believed(built.artifact, variant, name, on_progress, is_worth_more, stages)
        except ChildFailed as failed:
            return _failed(variant, failed, stages)
        return TrialOutcome(
            variant,
            metrics=measured.metrics,
            artifact=built.artifact.id,
            stages=tuple(stages),
            details={
                **measured.details,
                **_int8_facts(built.artifact.facts),
                "network": built.network,
                "memory_bytes": built.memory_bytes,
                "utilization": self._utilization(built, variant, number, measured),
            },
            invalid=measured.invalid,
        )

    def measure_again(
        self, variant: Variant, artifact: str, name: str, on_progress: OnProgress, is_worth_more: IsWorthMore
    ) -> TrialOutcome:
        """Measure a stored artifact once more. Raises Interrupted, OSError."""
        stored = self._artifacts.stored(artifact)
        if isinstance(stored, str):
            return TrialOutcome(variant, failure=Failure("artifact not loaded", stored))
        try:
            self._require_anchor(on_progress)
            measured, stage = self._measure(stored, variant, name, on_progress, is_worth_more)
        except ChildFailed as failed:
            return _failed(variant, failed, [])
        return TrialOutcome(variant, measured.metrics, artifact, (stage,), measured.details, invalid=measured.invalid)

    def judge_on_test(self, variant: Variant, artifact: str, on_progress: OnProgress) -> Measurement:
        """Accuracy on the test split, its logits kept in the cache. Raises Interrupted, OSError."""
        stored, logits = self._artifacts.stored(artifact), cache_root() / "logits"
        if isinstance(stored, str):
            return Measurement.unknown(stored)
        test = self._building.test
        assert test is not None
        on_progress(Progress("test accuracy"))
        try:
            return judge(stored, variant, test.images, test.labels, test.fingerprint, logits, self._stop).accuracy
        except ChildFailed as failed:
            _check_disk(failed)
            return Measurement.unknown(f"the test images could not be classified: {failed.reason}")

    def close(self) -> None:
        """End the builder."""
        self._building.close()

    def _check_available(self) -> None:
        """Raises RuntimeNotAvailable or DeviceNotAvailable."""
        for name in self._space.parameters["runtime"].values:
            if why := runtime(str(name)).missing():
                raise RuntimeNotAvailable(f"the search space asks for a runtime that is not installed: {why}")
        wanted = [*(o.metric for o in self._space.objectives), *(c.metric for c in self._space.constraints)]
        counter = EnergyCounter.open()
        if "energy_mj" in wanted and counter.why:
            raise DeviceNotAvailable(f"the search space asks for energy_mj, and {counter.why}")

    def _build(self, variant: Variant, on_progress: OnProgress) -> Built:
        built = self._building.build(variant, on_progress)
        self._artifacts.trust(built.artifact)
        return built

    def _utilization(self, built: Built, variant: Variant, number: int, measured: Measured) -> dict[str, Any]:
        """How much of the machine the variant uses. The baseline does not wait for the machine's peaks."""
        threads = variant.threads
        if number > 0 or cache_file(threads).is_file():
            peaks = machine_peaks(threads, self._stop, self._building.processes())
        else:
            peaks = Peaks.unknown(threads, "the machine's peaks were not measured yet (`explore device` measures them)")
        shares = measured.details["exit_shares"]
        work = work_of(built.artifact.facts, built.memory_bytes, shares, variant.batch_size)
        latency_mean_ms = measured.metrics["latency_mean_ms"].value
        assert latency_mean_ms is not None
        return utilization(work, latency_mean_ms, measured.details["busy_cores"], peaks)

    def _believed(
        self,
        artifact: Artifact,
        variant: Variant,
        name: str,
        on_progress: OnProgress,
        is_worth_more: IsWorthMore,
        stages: list[Stage],
    ) -> Measured:
        """The first valid measurement of a few, or the last one; `stages` gets each."""
        for _ in range(MAX_ATTEMPTS):
            measured, stage = self._measure(artifact, variant, name, on_progress, is_worth_more)
            stages.append(stage)
            if not measured.invalid:
                self._keep_reference(measured)
                break
        return measured

    def _require_anchor(self, on_progress: OnProgress) -> None:
        """Build the anchor, once; where it cannot be built, the pulse alone corrects, and every trial says why."""
        if self._anchor is not None:
            return
        artifact = None
        self._why_no_anchor = runtime(RUNTIME).missing() or ""
        if not self._why_no_anchor:
            try:
                artifact = self._build(anchor_variant(self._space), on_progress).artifact.id
            except ChildFailed as failed:
                _check_disk(failed)
                self._why_no_anchor = f"the anchor cannot be built: {failed.reason}"
        folder = None if artifact is None else self._artifacts.folder / artifact
        self._anchor = Anchor(folder, read_reference(self._folder, artifact))

    def _keep_reference(self, measured: Measured) -> None:
        """The times of anchor and pulse in the first valid measurement that had them are the reference from then on."""
        own, anchor = measured.details["anchor"], self._anchor or self._without_anchor()
        known = anchor.reference
        if known is not None and (known.anchor_ns is not None or own["value"] is None):
            return
        pulse_ns = 1e6 * own["pulse"] if known is None else known.pulse_ns
        reference = Reference(None if own["value"] is None else 1e6 * own["value"], pulse_ns)
        keep_reference(self._folder, None if anchor.folder is None else anchor.folder.name, reference)
        if self._anchor is not None:
            self._anchor = replace(anchor, reference=reference)

    def _without_anchor(self) -> Anchor:
        """The pulse alone."""
        return Anchor(None, read_reference(self._folder, None))

    def _measure(
        self,
        artifact: Artifact,
        variant: Variant,
        name: str,
        on_progress: OnProgress,
        is_worth_more: IsWorthMore,
    ) -> tuple[Measured, Stage]:
        validation = self._building.validation
        assert validation is not None
        keep_sample_images(self._folder, validation.images, validation.labels, self._space)
        device = self._space.device
        prices = Prices(device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)
        measured, stage = probe(
            artifact,
            variant,
            validation,
            prices,
            name=name,
            logits_cache=cache_root() / "logits",
            stop=self._stop,
            keep_off=self._building.processes(),
            on_progress=on_progress,
            anchor=self._anchor or self._without_anchor(),
            is_worth_more=is_worth_more,
        )
        if self._why_no_anchor:
            anchor = {**measured.details["anchor"], "why": self._why_no_anchor}
            measured = replace(measured, details={**measured.details, "anchor": anchor})
        return measured, stage


def _prepared(facts: Mapping[str, Any], left_out: Mapping[str, str]) -> Prepared:
    """What identifies the study's world, from what the builder says of it. Raises LookupError, TypeError."""
    return Prepared(
        n_classes=facts["n_classes"],
        identity={
            "data": facts["data"],
            "weights": facts["weights"]["fingerprint"],
            "software": environment.software(),
            "processor": environment.processor()["name"],
        },
        provenance={
            "class_names": facts["class_names"],
            "weights": facts["weights"],
            "processor": environment.processor(),
            "memory_mib": environment.memory_mib(),
            "system": environment.system(),
            **({"left_out": dict(left_out)} if left_out else {}),
        },
        validation_labels=Path(facts["validation_labels"]),
    )


def _failed(variant: Variant, failed: ChildFailed, stages: list[Stage]) -> TrialOutcome:
    """The outcome of a child's failure. Raises OSError when the disk is full."""
    _check_disk(failed)
    details = {"log": failed.log} if failed.log else {}
    return TrialOutcome(variant, stages=tuple(stages), details=details, failure=Failure(failed.kind, failed.reason))


def _check_disk(failed: ChildFailed) -> None:
    """Raises OSError when a child failed for the disk is full: no trial's fault, and over once there is space."""
    if failed.kind == FAILURE_KIND:
        raise heard(failed.reason) from failed


def _int8_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("n_layers", "n_int8_layers", "int8_mac_share", "max_logit_difference", "is_batch_invariant")
    return {name: facts[name] for name in names}
