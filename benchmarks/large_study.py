"""A large study from a seed: in memory, or as a folder that `explore report` and `explore dashboard` read.

    python benchmarks/large_study.py DIR [--trials 50000] [--seed 0]

Its trials look like those of cnn.yaml: the same metrics and intervals, infeasible and failed trials, times. No artifact
is stored. The folder's journal (one file a trial) is left out: it is not read unless the database is damaged.
"""

from __future__ import annotations

import argparse
import json
import math
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from explorer.intervals import Z
from explorer.measure.metrics import Prices
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
    Section,
    Timing,
)
from explorer.pareto.hypervolume import reference_point
from explorer.records import Failure, Measurement, Stage, TrialOutcome, TrialState, Variant
from explorer.space.values import DataSettings, DeviceSettings, Parameter, SearchSettings, SearchSpace
from explorer.study.result import StudyResult, TrialRecord, compacted
from explorer.system import environment

N_IMAGES, N_QUERIES, N_CLASSES = 5000, 900, 10
_STARTED = 1_760_000_000.0
_REASONS = (
    "signal SIGSEGV in measure latency",
    "timeout in recover after 120 s",
    "export mismatch: logits differ by 0.0021, at most 0.0001 is allowed",
)
_NO_ENERGY = Measurement.unknown("this machine has no RAPL energy counters (/sys/class/powercap/intel-rapl:0)")
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TASK = {"name": "classification", "facts": {"classes": list(_CLASSES)}}


def large_space(n_trials: int, seed: int) -> SearchSpace:
    """A space with far more variants than trials: exit thresholds and pruning in fine steps."""
    values: dict[str, tuple[Any, ...]] = {
        "width": (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
        "pruning_ratio": tuple(round(0.02 * step, 2) for step in range(36)),
        "quantization": ("none", "dynamic_int8", "static_int8"),
        "runtime": ("eager", "onnxruntime"),
        "exit_threshold": tuple(round(0.5 + 0.005 * step, 3) for step in range(101)),
        "batch_size": (1, 4, 16),
        "threads": (1,),
    }
    return SearchSpace(
        name="large",
        model="slimmable_cnn",
        recipe="standard",
        recovery_steps=100,
        data=DataSettings(name="cifar10", validation=N_IMAGES, calibration=512),
        parameters={name: Parameter(name, chosen) for name, chosen in values.items()},
        objectives=(
            Objective("accuracy", "maximize"),
            Objective("latency_ms", "minimize"),
            Objective("cost_usd_per_million", "minimize"),
        ),
        constraints=(Constraint("peak_memory_mib", "<=", 700.0), Constraint("accuracy", ">=", 0.85, is_relative=True)),
        search=SearchSettings(sampler="random", n_trials=n_trials, timeout_s=None, seed=seed),
        device=DeviceSettings("local", 0.05, 0.005, 0.0),
    )


def large_result(n_trials: int = 50_000, seed: int = 0, folder: Path = Path("studies/large")) -> StudyResult:
    """A study of that many trials in memory; equal arguments give equal studies."""
    rng = np.random.default_rng(seed)
    space = large_space(n_trials, seed)
    variants = [space.baseline(), *_variants(rng, space, n_trials - 1)][:n_trials]
    noise = rng.normal(size=(n_trials, 6)).tolist()
    is_failed = rng.random(n_trials) < 0.03
    trials: list[TrialRecord] = []
    now = _STARTED
    baseline: dict[str, float] = {}
    for number, variant in enumerate(variants):
        outcome = made_up_outcome(number, variant, noise[number], space, is_failed=bool(number and is_failed[number]))
        baseline = baseline or outcome.values()
        trial = compacted(_record(number, outcome, space, baseline, now))
        trials.append(trial)
        now = trial.finished + 0.01
    return StudyResult(
        name=folder.name,
        folder=folder,
        space=replace(space, name=folder.name),
        trials=tuple(trials),
        provenance=_provenance(),
        reference_point=reference_point(baseline, space.objectives, {"accuracy": 1 / N_CLASSES}) if trials else None,
    )


def _variants(rng: np.random.Generator, space: SearchSpace, n: int) -> list[Variant]:
    """Random variants; static_int8 in eager, which does not exist, becomes dynamic_int8."""
    columns: dict[str, list[Any]] = {}
    for name, parameter in space.parameters.items():
        columns[name] = [parameter.values[level] for level in rng.integers(0, len(parameter.values), max(0, n))]
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [
        Variant(**{**row, "quantization": "dynamic_int8"})
        if (row["runtime"], row["quantization"]) == ("eager", "static_int8")
        else Variant(**row)
        for row in rows
    ]


def made_up_outcome(
    number: int, variant: Variant, noise: list[float], space: SearchSpace, is_failed: bool
) -> TrialOutcome:
    """What building and measuring `variant` might have given; `noise` are six normal deviates."""
    n_int8 = 0 if variant["quantization"] == "none" else 14
    stages = (Stage("narrow", 0.2, number % 3 == 0), Stage("export", 1.1 + 0.2 * abs(noise[5]), number % 3 == 0))
    if is_failed:
        reason = _REASONS[number % len(_REASONS)]
        return TrialOutcome(variant, stages=stages, failure=Failure.reported("made up", reason))
    metrics, left_early = _metrics(variant, noise, space)
    return TrialOutcome(
        variant,
        metrics=metrics,
        artifact=f"{number:020x}",
        stages=(*stages, Stage("measure", 3.2 + 0.3 * abs(noise[4]))),
        observed=_observation(metrics, left_early, n_int8),
    )


def _observation(metrics: Mapping[str, Measurement], left_early: float, n_int8: int) -> Observation:
    """What a probe might have found."""
    values = {name: one.value or 0.0 for name, one in metrics.items()}
    accuracy, latency = values["accuracy"], Estimate(values["latency_ms"], None, None, 1000)
    by_class = [round(min(1.0, accuracy * (1 + 0.02 * (c - 4.5) / 4.5)), 4) for c in range(N_CLASSES)]
    rows = tuple((name, share, N_IMAGES // N_CLASSES) for name, share in zip(_CLASSES, by_class, strict=True))
    return Observation(
        cores=(1,),
        modules=("onnxruntime",),
        processor_share=0.99,
        busy_cores=1.0,
        cold_start_ms=ColdStart(20.0, 40.0, 10.0, 2.0),
        memory_mib=Memory(80.0, 60.0, 20.0),
        timing=Timing("whole", True, True, 0.01, 1.0, 1000),
        anchor=Anchor((0.1, 0.05, 0.05), 1.0, 0.01, 0.9, 0.0),
        conditions=Conditions(1.3, 0.0, 0.0, 1, (1,), 0.0),
        phases={},
        exits=(
            Exit(round(left_early, 4), round(0.9 * accuracy, 4), latency),
            Exit(round(1 - left_early, 4), round(accuracy, 4), latency),
        ),
        sections=(Section("Accuracy by class", ("class", "accuracy", "images"), rows),),
        build=BuildFacts("made up", {}, MemoryBytes(0, 0, 0, ()), 14, n_int8, 0.0, None, 0.0, True),
    )


def _metrics(variant: Variant, noise: list[float], space: SearchSpace) -> tuple[dict[str, Measurement], float]:
    """Every metric of one variant, and the share of images that leaves at the first exit."""
    assert isinstance(variant["width"], float)
    kept = variant["width"] * (1 - variant["pruning_ratio"])
    left_early = 0.0 if variant["exit_threshold"] == 1.0 else 0.75 * (1 - variant["exit_threshold"]) ** 0.5
    speed = {"eager": 3.1, "onnxruntime": 1.42}[variant["runtime"]]
    speed *= {"none": 1.0, "dynamic_int8": 1.4, "static_int8": 0.34}[variant["quantization"]]
    per_batch = variant["batch_size"] ** 0.85
    median = (0.05 + speed * kept**1.5 * (1 - 0.6 * left_early)) * per_batch * math.exp(0.02 * noise[0])
    share = 0.93 - 0.2 * (1 - kept) ** 2.5 - (0.006 if variant["quantization"] != "none" else 0.0) - 0.05 * left_early
    n_hits = round(min(0.99, max(0.1, share + 0.003 * noise[1])) * N_IMAGES)
    accuracy, mean = n_hits / N_IMAGES, median * (1.03 + 0.01 * abs(noise[2]))
    peak = (690.0 if variant["runtime"] == "eager" else 67.0) + 60.0 * kept + abs(noise[3])
    half, width = Z * math.sqrt(accuracy * (1 - accuracy) / N_IMAGES), 0.008 * (1 + abs(noise[4]))
    n_parameters = float(round(740_000 * kept**2))
    device = space.device
    prices = Prices(device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)

    def timed(value: float) -> Measurement:
        return Measurement(value, value * (1 - width), value * (1 + 1.2 * width), N_QUERIES)

    def rate(ms: float) -> float:
        return 1000 * variant["batch_size"] / ms

    ends = (mean, mean * (1 - width), mean * (1 + 1.2 * width))
    cost, cheapest, dearest = (prices.usd_per_million(ms, peak, variant["batch_size"]) for ms in ends)
    metrics = {
        "accuracy": Measurement(accuracy, accuracy - half, accuracy + half, N_IMAGES),
        "latency_ms": timed(median),
        "latency_experienced_ms": timed(median * 1.02),
        "latency_mean_ms": Measurement(*ends, N_QUERIES),
        "latency_p90_ms": timed(median * 1.1),
        "latency_p95_ms": timed(median * (1.15 + 0.01 * abs(noise[5]))),
        "latency_p99_ms": timed(median * (1.4 + 0.05 * abs(noise[5]))),
        "throughput_per_s": Measurement(rate(ends[0]), rate(ends[2]), rate(ends[1]), N_QUERIES),
        "cold_start_ms": Measurement((2400.0 if variant["runtime"] == "eager" else 160.0) * (1 + 0.01 * noise[2]), n=1),
        "peak_memory_mib": Measurement(peak, n=1),
        "model_memory_mib": Measurement(30.0 + 60.0 * kept + abs(noise[3]), n=1),
        "artifact_size_mib": Measurement(4 * n_parameters / 2**20 + 0.1),
        "n_parameters": Measurement(n_parameters),
        "mega_macs": Measurement(82.0 * kept**2 * (1 - 0.6 * left_early)),
        "energy_mj": _NO_ENERGY,
        "cost_usd_per_million": Measurement(cost, cheapest, dearest, N_QUERIES),
    }
    return metrics, left_early


def _record(
    number: int, outcome: TrialOutcome, space: SearchSpace, baseline: dict[str, float], started: float
) -> TrialRecord:
    finished = started + sum(stage.seconds for stage in outcome.stages)
    if outcome.failure is not None:
        return TrialRecord(number, "failed", outcome, {}, started, finished)
    values = outcome.values()
    violations = {str(bound): bound.violation(values, baseline) for bound in space.constraints}
    state: TrialState = "infeasible" if any(amount > 0 for amount in violations.values()) else "complete"
    return TrialRecord(number, state, outcome, violations, started, finished)


def _provenance() -> dict[str, Any]:
    return {
        "task": TASK,
        "weights": {
            "fingerprint": "a81be4450c19",
            "card": {"family": "slimmable_cnn", "recipe": {"name": "standard"}, "seed": 0, "seconds": 800.0},
        },
        "processor": {"name": "made up", "architecture": "none", "instructions": [], "n_cores": 2},
        "memory_mib": 8192,
        "system": {"system": "made up"},
    }


def _identity() -> dict[str, Any]:
    """What a real study is resumed by; the data and the network were never there, and say so."""
    return {
        "data": {
            "name": "cifar10",
            "kind": "made up",
            "fingerprint": "made up",
            "splits": "made up",
            "input": {"name": "images", "dtype": "uint8", "shape": [3, 32, 32]},
            "n_training": 50_000 - N_IMAGES,
            "n_test": 10_000,
        },
        "weights": _provenance()["weights"]["fingerprint"],
        "software": environment.software(),
        "processor": "made up",
    }


def write_large_study(folder: Path, n_trials: int = 50_000, seed: int = 0) -> StudyResult:
    """Make the study's folder, with its database; returns what is in it. Replaces nothing.

    The study is made by StudyStorage; its trials are written by SQL into Optuna's tables, as `StudyStorage.finish`
    leaves them, since 50,000 of its transactions would take an hour. Raises FileExistsError.
    """
    from explorer.space.write import dump_space
    from explorer.study.session import SPACE_NAME
    from explorer.study.store.facts import RECORD_KEY, StudyFacts, checksummed
    from explorer.study.store.journal import Entry
    from explorer.study.store.location import DATABASE_NAME
    from explorer.study.store.optuna_storage import StudyStorage

    folder.mkdir(parents=True, exist_ok=False)
    result = large_result(n_trials, seed, folder)
    (folder / SPACE_NAME).write_text(dump_space(result.space), encoding="utf-8")
    facts = StudyFacts(result.space, _identity(), result.provenance, "made up")
    storage = StudyStorage.create(folder / DATABASE_NAME, facts)
    if result.reference_point is not None:
        storage.set_reference_point(result.reference_point)
    storage.close()
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection, connection:
        (study,) = connection.execute("SELECT study_id FROM studies").fetchone()
        for place, trial in enumerate(result.trials, start=1):
            state = "FAIL" if trial.state == "failed" else "COMPLETE"
            times = [
                time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(at)) for at in (trial.started, trial.finished)
            ]
            connection.execute(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?)", (place, trial.number, study, state, *times)
            )
            record = json.dumps(checksummed(Entry(trial, trial.values(), "made up")))
            connection.execute(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
                (place, RECORD_KEY, record),
            )
            if state == "COMPLETE":
                values = trial.values()
                connection.executemany(
                    "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, 'FINITE')",
                    [(place, k, values[objective.metric]) for k, objective in enumerate(result.objectives)],
                )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    before = time.perf_counter()
    write_large_study(arguments.folder, arguments.trials, arguments.seed)
    print(f"{arguments.folder}: {arguments.trials:,} trials in {time.perf_counter() - before:.0f} s")


if __name__ == "__main__":
    main()
