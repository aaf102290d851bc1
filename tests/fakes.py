"""Stand-ins for the slow parts: a scripted evaluator with known metrics, a view that records, small search spaces."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from explorer.files import new_folder, write_text
from explorer.hashing import content_key
from explorer.objectives import Constraint, Objective
from explorer.records import Failure, Measurement, Progress, Stage, TrialOutcome, Variant
from explorer.space.values import (
    DataSettings,
    DeviceSettings,
    FamilyTraits,
    Parameter,
    SearchSettings,
    SearchSpace,
    Vocabulary,
)
from explorer.study.evaluation import OnProgress, Prepared
from explorer.study.interrupt import Interrupt
from explorer.study.loop import run_study
from explorer.study.result import StudyResult, TrialRecord

VOCABULARY = Vocabulary(
    datasets=("digits",),
    families={"slimmable_cnn": FamilyTraits(0.25, 3, True, ("quick",))},
    runtimes={
        "eager": frozenset({"none", "dynamic_int8"}),
        "onnxruntime": frozenset({"none", "dynamic_int8", "static_int8"}),
    },
    samplers=("tpe", "nsga2", "nsga3", "gp", "random", "qmc", "grid"),
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
    width = variant.width if isinstance(variant.width, float | int) else sum(variant.width) / len(variant.width)
    speed = {"eager": 1.0, "onnxruntime": 0.4}[variant.runtime]
    speed *= {"none": 1.0, "dynamic_int8": 3.0, "static_int8": 0.35}[variant.quantization]
    latency_ms = 4.0 * width * (1.0 - 0.6 * variant.pruning_ratio) * speed * (0.5 + 0.5 * variant.exit_threshold)
    return {
        "accuracy": 0.6 + 0.3 * width - 0.3 * variant.pruning_ratio**2 - 0.01 * (variant.quantization != "none"),
        "latency_ms": latency_ms,
        "cost_usd_per_million": 0.02 * latency_ms + 0.001 * variant.threads,
        "peak_memory_mib": (700.0 if variant.runtime == "eager" else 80.0) + 100.0 * width,
    }


class FakeEvaluator:
    """Evaluates by formula. `failure`, `metrics` and `before` are scripts, asked for each variant and trial number."""

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
    ) -> None:
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
        return Prepared(10, self._identity, {"host": "fake"})

    def evaluate(self, variant: Variant, number: int, on_progress: OnProgress) -> TrialOutcome:
        self.evaluated.append(variant)
        self._before(variant, number)
        on_progress(Progress("measuring", 0, 1))
        time.sleep(self._delay_s)
        if failure := self._failure(variant, number):
            return TrialOutcome(variant, failure=failure)
        values = dict(self._metrics(variant))
        if self._noise:
            factor = 1.0 + self._noise * self._random.uniform(-1, 1)
            for name in ("latency_ms", "cost_usd_per_million"):
                values[name] *= factor
        metrics = {
            name: value if isinstance(value, Measurement) else Measurement(value) for name, value in values.items()
        }
        return TrialOutcome(variant, metrics, self._artifact(variant), (Stage("build", 0.1),), {"exits": [1.0]})

    def close(self) -> None:
        """Nothing to end."""

    def _artifact(self, variant: Variant) -> str:
        name = content_key(variant.to_json())
        if self._folder is not None and not (self._folder / "artifacts" / name).is_dir():
            with new_folder(self._folder / "artifacts" / name) as draft:
                write_text(draft / "artifact.json", name)
        return name


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
    """Run a study in `folder` with the fakes; `outputs` gets what would be written."""
    written = outputs if outputs is not None else []
    with Interrupt() as interrupt:
        return run_study(
            space,
            VOCABULARY,
            folder,
            evaluator or FakeEvaluator(folder),
            view or RecordingView(),
            interrupt,
            written.append,
            **options,
        )
