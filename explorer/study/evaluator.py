"""The real evaluator: the builder makes an artifact, a fresh probe measures it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

from explorer import environment, errors
from explorer.cache import cache_root
from explorer.errors import DeviceNotAvailable, ExplorerError, RuntimeNotAvailable
from explorer.measure.child import Child, ChildFailed, Stop
from explorer.measure.cost import Prices
from explorer.measure.energy import EnergyCounter
from explorer.measure.probing import Measured, Validation, probe
from explorer.records import Failure, Progress, Stage, TrialOutcome, Variant
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.registry import runtime
from explorer.space.values import SearchSpace
from explorer.study.evaluation import OnProgress, Prepared
from explorer.study.sample_images import keep_sample_images

_DEADLINES_S = {"": 900.0, "build": 900.0, "export": 600.0, "store": 300.0}
DISK_FULL = "disk full"


@final
class MeasuringEvaluator:
    """Builds in one long-lived builder process and measures in one fresh probe a trial; implements `Evaluator`."""

    def __init__(self, space: SearchSpace, folder: Path, data_root: Path | None, stop: Stop | None = None) -> None:
        self._space = space
        self._folder = folder
        self._artifacts = folder / "artifacts"
        self._data_root = data_root
        self._stop = stop
        self._builder: Child | None = None
        self._validation: Validation | None = None

    def prepare(self, on_progress: OnProgress) -> Prepared:
        """Start the builder, decode the data, load or train the base network.

        Raises NotAvailable, ModelError, Interrupted, OSError, or ExplorerError when the builder fails otherwise.
        """
        self._check_available()
        facts = self._started(on_progress)
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
            },
            validation_labels=Path(facts["validation_labels"]),
        )

    def evaluate(self, variant: Variant, number: int, on_progress: OnProgress) -> TrialOutcome:
        """Build, store and measure. Raises Interrupted, and OSError when the disk is full."""
        stages: list[Stage] = []
        try:
            built = self._build(variant, on_progress)
            stages += [Stage(*stage) for stage in built["stages"]]
            artifact = Artifact.read(self._artifacts / built["artifact"])
            measured, stage = self._measure(artifact, variant, number, on_progress)
        except ChildFailed as failed:
            if failed.kind == DISK_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from failed
            details = {"log": failed.log} if failed.log else {}
            return TrialOutcome(
                variant, stages=tuple(stages), details=details, failure=Failure(failed.kind, failed.reason)
            )
        return TrialOutcome(
            variant,
            metrics=measured.metrics,
            artifact=artifact.id,
            stages=(*stages, stage),
            details={**measured.details, **_int8_facts(artifact.facts), "network": built["network"]},
        )

    def close(self) -> None:
        """End the builder."""
        if self._builder is not None:
            self._builder.close()
            self._builder = None

    def _check_available(self) -> None:
        """Raises RuntimeNotAvailable or DeviceNotAvailable."""
        for name in self._space.parameters["runtime"].values:
            if why := runtime(str(name)).missing():
                raise RuntimeNotAvailable(f"the search space asks for a runtime that is not installed: {why}")
        wanted = [*(o.metric for o in self._space.objectives), *(c.metric for c in self._space.constraints)]
        counter = EnergyCounter.open()
        if "energy_mj" in wanted and counter.why:
            raise DeviceNotAvailable(f"the search space asks for energy_mj, and {counter.why}")

    def _started(self, on_progress: OnProgress) -> Mapping[str, Any]:
        """A builder that is ready. One that cannot start ends the study, with its own words."""
        self._builder = Child("explorer.study.builder", self._stop)
        request = {
            "op": "prepare",
            "data": asdict(self._space.data),
            "root": str(self._data_root) if self._data_root else None,
            "model": self._space.model,
            "recipe": self._space.recipe,
            "is_shipped": self._space.is_shipped,
            "recovery_steps": self._space.recovery_steps,
        }
        try:
            facts = self._builder.ask(request, _DEADLINES_S, lambda values: on_progress(Progress(**values)))
        except ChildFailed as failed:
            self.close()
            if failed.kind == DISK_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from failed
            kind = getattr(errors, failed.kind, None)
            if isinstance(kind, type) and issubclass(kind, ExplorerError):
                raise kind(failed.reason) from failed
            raise ExplorerError(f"the builder could not start: {failed.reason}\n{failed.log}".rstrip()) from failed
        except BaseException:
            self.close()
            raise
        self._validation = Validation(
            Path(facts["validation_images"]),
            Path(facts["validation_labels"]),
            facts["data"]["splits"],
            facts["n_classes"],
        )
        return facts

    def _build(self, variant: Variant, on_progress: OnProgress) -> Mapping[str, Any]:
        if self._builder is None or not self._builder.is_alive:
            self.close()
            self._started(on_progress)
        assert self._builder is not None
        request = {"op": "build", "variant": variant.to_json(), "artifacts": str(self._artifacts)}
        return self._builder.ask(request, _DEADLINES_S, lambda values: on_progress(Progress(**values)))

    def _measure(
        self, artifact: Artifact, variant: Variant, number: int, on_progress: OnProgress
    ) -> tuple[Measured, Stage]:
        assert self._validation is not None
        assert self._builder is not None
        keep_sample_images(self._folder, self._validation.images, self._validation.labels, self._space)
        device = self._space.device
        prices = Prices(device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)
        return probe(
            artifact,
            variant,
            self._validation,
            prices,
            name=f"trial-{number:05d}",
            logits_cache=cache_root() / "logits",
            stop=self._stop,
            keep_off=[self._builder.process.pid],
            on_progress=on_progress,
        )


def _int8_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("n_layers", "n_int8_layers", "int8_mac_share", "max_logit_difference", "is_batch_invariant")
    return {name: facts[name] for name in names}
