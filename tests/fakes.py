"""Stand-ins for the slow parts: a scripted evaluator with known metrics, a view that records, small search spaces."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.metrics import Constraint, Objective
from explorer.observation import (
    Anchor,
    BuildFacts,
    ColdStart,
    Conditions,
    Estimate,
    Exit,
    Memory,
    MemoryBytes,
    Observation,
    Phase,
    Reason,
    SegmentBytes,
    Timing,
)
from explorer.records import Failure, Measurement, Progress, Stage, TrialOutcome, Variant
from explorer.runtimes.artifact import ArtifactFacts, SegmentFacts
from explorer.space.values import (
    DataSettings,
    DeviceSettings,
    Parameter,
    SearchSettings,
    SearchSpace,
)
from explorer.study.evaluation import CanReachFront, OnProgress, Prepared
from explorer.study.loop import StudyTools, run_study
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.vocabulary import vocabulary
from explorer.system.files import new_folder, write_text
from explorer.system.hashing import content_key
from explorer.system.signals import Interrupt
from explorer.tasks.task import TensorSpec


def artifact_facts(*segments: SegmentFacts, **changes: Any) -> ArtifactFacts:
    """The facts of an artifact, float32 in ONNX Runtime without an exit, but for the changes."""
    known: dict[str, Any] = {
        "id": "artifact",
        "runtime": "onnxruntime",
        "quantization": "none",
        "exit_threshold": 1.0,
        "trust": "checked",
        "input": TensorSpec("images", "uint8", (1, 2, 3)),
        "is_batch_invariant": True,
        "n_parameters": 7,
        "int8_range": None,
        "max_logit_difference": 0.0,
    }
    return ArtifactFacts(**{**known, **changes}, segments=segments)


def segment(file: str, sha256: str = "0" * 64, mega_macs: float = 0.5, int8_mac_share: float = 0.0) -> SegmentFacts:
    """The facts of a segment of one layer."""
    return SegmentFacts(file, sha256, 1, mega_macs, 1, int(int8_mac_share > 0), int8_mac_share)


VOCABULARY = replace(
    vocabulary(),
    datasets=("digits",),
    runtimes={
        "eager": frozenset({"none", "dynamic_int8"}),
        "onnxruntime": frozenset({"none", "dynamic_int8", "static_int8"}),
    },
)

OBJECTIVES = (
    Objective("accuracy", "maximize"),
    Objective("latency_ms", "minimize"),
    Objective("cost_usd_per_million", "minimize"),
)


def small_space(
    name: str = "small",
    n_trials: int = 8,
    sampler: str = "random",
    seed: int = 0,
    timeout_s: float | None = None,
    constraints: Sequence[Constraint] = (),
    objectives: Sequence[Objective] = OBJECTIVES,
    **parameters: Sequence[Any],
) -> SearchSpace:
    """A search space of 4 widths, 4 ratios and 5 executions, unless `parameters` says otherwise."""
    values: dict[str, Sequence[Any]] = {
        "width": (0.25, 0.5, 0.75, 1.0),
        "pruning_ratio": (0.0, 0.2, 0.4, 0.6),
        "quantization": ("none", "dynamic_int8", "static_int8"),
        "runtime": ("eager", "onnxruntime"),
        "exit_threshold": (1.0,),
        "batch_size": (1,),
        "threads": (1,),
        **parameters,
    }
    return SearchSpace(
        name=name,
        model="slimmable_cnn",
        recipe="quick",
        recovery_steps=10,
        data=DataSettings("digits", 100, 50),
        parameters={key: Parameter(key, tuple(choices)) for key, choices in values.items()},
        objectives=tuple(objectives),
        constraints=tuple(constraints),
        search=SearchSettings(sampler, n_trials, timeout_s, seed),
        device=DeviceSettings("local", 0.05, 0.005, 0.0),
    )


def known_metrics(variant: Variant) -> dict[str, float]:
    """What the fake evaluator measures without noise: every variant differs from every other."""
    width = float(np.mean(variant["width"]))
    speed = {"eager": 1.0, "onnxruntime": 0.4}.get(variant["runtime"], 0.3)
    speed *= {"none": 1.0, "dynamic_int8": 3.0, "static_int8": 0.35}[variant["quantization"]]
    latency_ms = 4.0 * width * (1.0 - 0.6 * variant["pruning_ratio"]) * speed * (0.5 + 0.5 * variant["exit_threshold"])
    return {
        "accuracy": 0.6
        + 0.3 * width
        - 0.3 * variant["pruning_ratio"] ** 2
        - 0.01 * (variant["quantization"] != "none"),
        "latency_ms": latency_ms,
        "cost_usd_per_million": 0.02 * latency_ms + 0.001 * variant["threads"],
        "peak_memory_mib": (700.0 if variant["runtime"] == "eager" else 80.0) + 100.0 * width,
    }


TASK = {"name": "classification", "facts": {"classes": list("0123456789")}}
"""The task of the fake evaluator's study, as its provenance has it."""

REFERENCES = [{"name": "chance", "value": 0.1, "clause": "chance is"}]

N_IMAGES = 400
"""Validation images of the fake evaluator."""

GAP = Reason("clock_gap", {"seconds": 0.3})
STEAL = Reason("steal", {"ratio": 0.2})


def make_observation(slowness: float = 1.01, spread: float = 0.01, **changed: Any) -> Observation:
    """What a probe finds of a network with one exit, built for this measurement."""
    known = Estimate(1.0, 0.9, 1.1, 200)
    parts: dict[str, Any] = {
        "cores": (1,),
        "modules": ("onnxruntime",),
        "processor_share": 0.995,
        "busy_cores": 0.99,
        "cold_start_ms": ColdStart(150.0, 40.0, 10.0, 2.5),
        "memory_mib": Memory(80.0, 60.0, 20.0),
        "timing": Timing("whole", True, True, 0.01, 1.25, 200),
        "anchor": Anchor((0.1, 0.05, 0.05), slowness, spread, 0.8, 0.0),
        "conditions": Conditions(1.3, 0.0, None, 1, (1,), 0.0),
        "phases": {"load": Phase(0.01, 0.01, 0.0, 0.0, False)},
        "exits": (Exit(1.0, 0.9, known),),
        "sections": (),
        "build": make_build_facts(),
    }
    return Observation(**{**parts, **changed})


def make_build_facts(**changed: Any) -> BuildFacts:
    """What building a small network without int8 found."""
    memory = MemoryBytes(2**20, 2**19, 2**18, (SegmentBytes(2**20, 2**19),))
    facts: dict[str, Any] = {
        "network": "n1",
        "pruned": {},
        "memory_bytes": memory,
        "n_layers": 3,
        "n_int8_layers": 0,
        "int8_mac_share": 0.0,
        "int8_range": None,
        "max_logit_difference": 1e-6,
        "is_batch_invariant": True,
    }
    return BuildFacts(**{**facts, **changed})


def some_hits(variant: Variant) -> NDArray[np.bool_]:
    """Which images a variant classifies correctly [N_IMAGES]: those that are easy enough for it."""
    difficulty = np.random.default_rng(7).random(N_IMAGES)
    hits: NDArray[np.bool_] = difficulty < known_metrics(variant)["accuracy"]
    return hits


class FakeEvaluator:
    """Evaluates by formula. `failure`, `metrics` and `before` are scripts, asked for each variant and trial number.

    `invalid` says why a trial's measurement is not valid. `again` gives the metrics of a variant in a round, or a
    failure, or reasons; a round is known by the name that the samples get. `hits` are written beside the artifacts, as
    the probe's scores are, and give the accuracy. `test` is the accuracy on the test split.
    """

    def __init__(
        self,
        folder: Path | None = None,
        failure: Callable[[Variant, int], Failure | None] = lambda variant, number: None,
        metrics: Callable[[Variant], dict[str, Any]] = known_metrics,
        before: Callable[[Variant, int], None] = lambda variant, number: None,
        identity: dict[str, Any] | None = None,
        noise: float = 0.0,
        noise_seed: int = 0,
        delay_s: float = 0.0,
        invalid: Callable[[Variant, int], tuple[Reason, ...]] = lambda variant, number: (),
        before_again: Callable[[Variant, str], None] = lambda variant, name: None,
        again: Callable[[Variant, str], dict[str, Any] | Failure | tuple[Reason, ...]] | None = None,
        hits: Callable[[Variant], NDArray[np.bool_]] | None = None,
        test: Callable[[Variant], float | None] = lambda variant: 0.5,
    ) -> None:
        self.measured_again: list[tuple[str, Variant]] = []
        self.judged: list[Variant] = []
        self.asked_more: dict[int, CanReachFront] = {}
        self.asked_more_again: dict[str, CanReachFront] = {}
        self._invalid = invalid
        self._before_again = before_again
        self._again = again
        self._hits = hits
        self._test = test
        self.evaluated: list[Variant] = []
        self._folder = folder
        self._failure = failure
        self._metrics = metrics
        self._before = before
        self._identity = identity if identity is not None else {"data": {"fingerprint": "d0"}, "torch": "2.15"}
        self._noise = noise
        self._random = random.Random(noise_seed)
        self._delay_s = delay_s

    def prepare(self, on_progress: OnProgress) -> Prepared:
        on_progress(Progress("data", 1, 1))
        return Prepared(self._identity, {"host": "fake", "task": TASK, "references": REFERENCES})

    def evaluate(
        self, variant: Variant, number: int, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        self.evaluated.append(variant)
        self.asked_more[number] = can_reach_front
        self._before(variant, number)
        on_progress(Progress("measuring", 0, 1))
        time.sleep(self._delay_s)
        if failure := self._failure(variant, number):
            return TrialOutcome(variant, failure=failure)
        values = dict(self._metrics(variant))
        if self._hits is not None:
            values["accuracy"] = _accuracy(self._hits(variant))
        if self._noise:
            factor = 1.0 + self._noise * self._random.uniform(-1, 1)
            for name in ("latency_ms", "cost_usd_per_million"):
                values[name] *= factor
        if self._hits is not None:  # samples are stored, and found by it
            values["latency_experienced_ms"] = values["latency_ms"]
        metrics = _measurements(values)
        artifact = self._artifact(variant)
        self._keep_samples(variant, artifact, number, metrics)
        return TrialOutcome(
            variant,
            metrics,
            artifact,
            (Stage("build", 0.1),),
            make_observation(),
            reasons=self._invalid(variant, number),
        )

    def remeasure(
        self, variant: Variant, artifact: str, name: str, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        self.measured_again.append((name, variant))
        self.asked_more_again[name] = can_reach_front
        self._before_again(variant, name)
        on_progress(Progress("measuring", 0, 1))
        time.sleep(self._delay_s)
        values = self._metrics(variant) if self._again is None else self._again(variant, name)
        if isinstance(values, Failure):
            return TrialOutcome(variant, failure=values)
        reasons = values if isinstance(values, tuple) else ()
        metrics = _measurements(self._metrics(variant) if isinstance(values, tuple) else values)
        return TrialOutcome(variant, metrics, artifact, reasons=reasons)

    def quality_on_test_split(self, variant: Variant, artifact: str, on_progress: OnProgress) -> Measurement:
        self.judged.append(variant)
        value = self._test(variant)
        return Measurement.unknown("no test images") if value is None else Measurement(value, n=100)

    def close(self) -> None:
        """Nothing to end."""

    def _keep_samples(self, variant: Variant, artifact: str, number: int, metrics: dict[str, Measurement]) -> None:
        """What the probe writes beside the artifact, as far as the study reads it."""
        if self._folder is None or self._hits is None:
            return
        folder = self._folder / "artifacts" / artifact / "measurements"
        folder.mkdir(exist_ok=True)
        facts = {"variant": variant.to_json(), "metrics": {name: m.to_json() for name, m in metrics.items()}}
        (folder / f"trial-{number:05d}.json").write_text(json.dumps(facts))
        scores = self._hits(variant).astype(np.float64)
        times = {"latency_ns": np.array([1000]), "latency_counts": np.array([1])}
        np.savez(folder / f"trial-{number:05d}.npz", score_accuracy=scores, **times)

    def _artifact(self, variant: Variant) -> str:
        name = content_key(variant.to_json())
        if self._folder is not None and not (self._folder / "artifacts" / name).is_dir():
            with new_folder(self._folder / "artifacts" / name) as draft:
                write_text(draft / "artifact.json", name)
        return name


def _accuracy(hits: NDArray[np.bool_]) -> Measurement:
    value = float(hits.mean())
    half = 1.96 * (value * (1 - value) / len(hits)) ** 0.5
    return Measurement(value, max(0.0, value - half), min(1.0, value + half), len(hits))


def _measurements(values: Mapping[str, Any]) -> dict[str, Measurement]:
    return {name: value if isinstance(value, Measurement) else Measurement(value) for name, value in values.items()}


class RecordingView:
    """Remembers everything that it is told; `on_event` is called with each event's name."""

    def __init__(self, on_event: Callable[[str], None] = lambda event: None) -> None:
        self.events: list[str] = []
        self.records: list[TrialRecord] = []
        self.notes: list[str] = []
        self._on_event = on_event

    def on_progress(self, progress: Progress) -> None:
        self._happened(f"progress {progress.stage}")

    def on_trial_start(self, number: int, variant: Variant) -> None:
        self._happened(f"start {number}")

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        assert result_so_far.trials[-1] == record
        self.records.append(record)
        self._happened(f"end {record.number}")

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        assert result_so_far.confirmation is not None
        self._happened("confirmed")

    def on_note(self, text: str, is_error: bool = False) -> None:
        self.notes.append(text)
        self._happened("note")

    def close(self) -> None:
        """Nothing to restore."""

    def _happened(self, event: str) -> None:
        self.events.append(event)
        self._on_event(event)


def append_line(path: Path, line: str) -> None:
    """Append a line that survives the death of this process."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def start(
    space: SearchSpace,
    folder: Path,
    evaluator: FakeEvaluator | None = None,
    view: RecordingView | None = None,
    outputs: list[StudyResult] | None = None,
    **options: Any,
) -> StudyResult:
    """Run a study in `folder` with the fakes; `outputs` gets what would be written. It is confirmed when asked for."""
    options = {"is_confirming": False, **options}
    written = outputs if outputs is not None else []
    with Interrupt() as interrupt:
        names = {field.name for field in fields(StudyTools)}
        of_tools = {name: options.pop(name) for name in list(options) if name in names}
        tools = StudyTools(
            VOCABULARY,
            evaluator or FakeEvaluator(folder),
            view or RecordingView(),
            interrupt,
            written.append,
            **of_tools,
        )
        return run_study(space, folder, tools, **options)
