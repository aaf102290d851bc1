"""Makers of made-up studies: hand-made ones for exact numbers, seeded ones that look like the real thing."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from fakes import GAP, TASK, make_build_facts, make_observation

from explorer.metrics import Constraint, Objective, ideal_point
from explorer.observation import Estimate, Exit
from explorer.pareto.hypervolume import hypervolume
from explorer.records import Failure, Measurement, Stage, TrialOutcome, Variant
from explorer.space.values import DataSettings, DeviceSettings, Parameter, SearchSettings, SearchSpace
from explorer.study.confirm.confirmation import Confirmation, Finalist, PackedScores, Repeat
from explorer.study.front import front_view
from explorer.study.result import StudyResult, TrialRecord
from explorer.tasks.task import Reference
from explorer.views.points import axis_directions, measured_points, staircase

OBJECTIVES = (
    Objective("accuracy", "maximize"),
    Objective("latency_ms", "minimize"),
    Objective("cost_usd_per_million", "minimize"),
)


def make_space(name="made-up", objectives=OBJECTIVES, constraints=(), n_trials=60, timeout_s=None, **values):
    """A space of CIFAR-10's shape; `values` replaces the values of parameters."""
    parameters = {
        "width": (0.25, 0.5, 0.75, 1.0),
        "pruning_ratio": (0.0, 0.2, 0.4),
        "quantization": ("none", "dynamic_int8", "static_int8"),
        "runtime": ("eager", "onnxruntime"),
        "exit_threshold": (0.7, 0.85, 1.0),
        "batch_size": (1,),
        "threads": (1,),
    } | values
    return SearchSpace(
        name=name,
        model="slimmable_cnn",
        recipe="standard",
        recovery_steps=100,
        data=DataSettings(name="cifar10", validation=5000, calibration=512),
        parameters={key: Parameter(key, chosen) for key, chosen in parameters.items()},
        objectives=tuple(objectives),
        constraints=tuple(constraints),
        search=SearchSettings(sampler="tpe", n_trials=n_trials, timeout_s=timeout_s, seed=0),
        device=DeviceSettings("local", 0.05, 0.005, 0.0),
    )


def make_trial(number, metrics=None, variant=None, reason=None, violations=None, **known):
    """A trial from plain numbers; `known` may set stages, observed and artifact. A reason makes it a failed one."""
    violations = violations or {}
    measured = {
        name: value if isinstance(value, Measurement) else Measurement(value) for name, value in (metrics or {}).items()
    }
    failure = None if reason is None else Failure.reported("made_up", reason)
    outcome = TrialOutcome(variant or Variant(), measured, failure=failure, **known)
    broken = any(amount > 0 for amount in violations.values())
    state = "failed" if failure else "infeasible" if broken else "complete"
    return TrialRecord(number, state, outcome, violations, started=1000.0 + number, finished=1001.0 + number)


def references(chance, name=None, share=None):
    """What the provenance says of guessing: the chance, and the share of the most frequent class, if that is given."""
    found = [Reference("chance", chance)]
    found += [] if name is None else [Reference("majority class", share, f"naming the class {name!r} every time gives")]
    return [one.to_json() for one in found]


def make_result(trials=(), space=None, folder=Path("studies/made-up"), reference_point=None, **known):
    """A study of those trials."""
    space = space or make_space()
    provenance = {"task": TASK, **known.pop("provenance", {})}
    return StudyResult(space.name, folder, space, tuple(trials), provenance, reference_point, **known)


def make_small_result(**known):
    """Six trials: 0 (the baseline), 1 (the knee) and 2 are the front, 3 is dominated, 4 infeasible, 5 failed."""
    bound = Constraint("peak_memory_mib", "<=", 1000.0)
    numbers = [(0.92, 3.0, 0.06, 800.0), (0.90, 1.0, 0.02, 100.0), (0.80, 0.5, 0.01, 90.0), (0.85, 2.0, 0.05, 700.0)]
    metrics = ("accuracy", "latency_ms", "cost_usd_per_million", "peak_memory_mib")
    trials = [
        make_trial(i, dict(zip(metrics, row, strict=True)), Variant(width=1.0 - i / 4), violations={str(bound): -1.0})
        for i, row in enumerate(numbers)
    ]
    fast = Variant(width=0.25, quantization="static_int8", runtime="onnxruntime")
    trials.append(
        make_trial(4, dict(zip(metrics, (0.95, 0.1, 0.001, 1500.0), strict=True)), fast, violations={str(bound): 500.0})
    )
    trials.append(make_trial(5, variant=Variant(width=0.5), reason="signal SIGSEGV in measure"))
    reference = {"accuracy": 0.1, "latency_ms": 3.3, "cost_usd_per_million": 0.066}
    provenance = {"references": references(0.1), **known.pop("provenance", {})}
    space = make_space(constraints=(bound,))
    return make_result(trials, space, reference_point=reference, provenance=provenance, **known)


def with_artifacts(result):
    """The study, in which every trial that has a result has an artifact."""
    trials = [
        trial if trial.outcome.failure else replace(trial, outcome=replace(trial.outcome, artifact=f"a{trial.number}"))
        for trial in result.trials
    ]
    return replace(result, trials=tuple(trials))


def make_confirmed(result, changes=None, n_rounds=5, finalists=None, invalid=(), n_images=1000):
    """The study, whose finalists (default: the feasible trials) were measured again.

    `changes` maps a trial to metrics that its rounds have instead of the search's, each a number or one a round;
    `invalid` are finalists whose rounds are all invalid. Accuracy on the test split is that of validation less 0.01.
    """
    result = with_artifacts(result)
    numbers = [t.number for t in result.trials if t.is_feasible] if finalists is None else finalists
    rounds = []
    for index in range(n_rounds):
        repeats = []
        for number in numbers:
            metrics = dict(result.trial(number).outcome.metrics)
            for name, value in (changes or {}).get(number, {}).items():
                metrics[name] = Measurement(value if isinstance(value, float) else value[index], n=9)
            repeats.append(Repeat(number, metrics, (GAP,) if number in invalid else ()))
        rounds.append(tuple(repeats))
    confirmation = Confirmation(
        0,
        *result.state,
        tuple(_finalist(result.trial(number), n_images) for number in numbers),
        rounds=tuple(rounds),
        test_accuracies={n: Measurement(result.trial(n).values()["accuracy"] - 0.01, n=100) for n in numbers},
        ended="rounds",
    )
    return replace(result, confirmation=confirmation)


def make_near_result():
    """Trials 1 and 2 are a tie: 2 is on the confirmed front, 1 near it; 3 is invalid, 4 infeasible; 0 is dominated."""
    bound = Constraint("peak_memory_mib", "<=", 1000.0)
    values = {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.02, "peak_memory_mib": 100.0}
    holds = {str(bound): -900.0}
    doubtful = make_trial(3, values, violations=holds, reasons=(GAP,))
    broken = make_trial(4, {**values, "peak_memory_mib": 1500.0}, violations={str(bound): 500.0})
    trials = [*(make_trial(n, values, violations=holds) for n in range(3)), replace(doubtful, state="invalid"), broken]
    noisy = (0.99, 1.3, 0.99, 1.4, 0.99)
    return make_confirmed(
        make_result(trials, make_space(constraints=(bound,))), {0: {"latency_ms": 9.0}, 2: {"latency_ms": noisy}}
    )


def _finalist(trial, n_images):
    """One that classified the first images correctly, as many as its accuracy says."""
    hits = np.arange(n_images) < round(trial.values()["accuracy"] * n_images)
    return Finalist(trial.number, trial.outcome.artifact, {"accuracy": PackedScores.of(hits.astype(np.float64))})


def make_seeded_result(n_trials=60, seed=0, folder=Path("studies/cifar10-cnn")):
    """A study that looks like one of CIFAR-10: times, interactions of quantization and runtime, misses, failures."""
    rng = random.Random(seed)
    bounds = (Constraint("peak_memory_mib", "<=", 1024.0), Constraint("accuracy", ">=", 0.9, is_relative=True))
    space = make_space("cifar10-cnn", constraints=bounds, n_trials=n_trials)
    trials = [_seeded_trial(number, rng, space) for number in range(n_trials)]
    baseline = trials[0].values()
    reference = {
        "accuracy": 0.1,
        "latency_ms": 1.1 * baseline["latency_ms"],
        "cost_usd_per_million": 1.1 * baseline["cost_usd_per_million"],
    }
    provenance = {
        "data": {"name": "cifar10", "kind": "CIFAR-10 (JPEG)", "fingerprint": "3f1c9a0b77d2"},
        "weights": {
            "fingerprint": "a81be4450c19ffff",
            "card": {
                "family": "slimmable_cnn",
                "recipe": {"name": "long"},
                "seed": 0,
                "seconds": 4500.0,
                "sha256": "12ab",
                "data": "CIFAR-10 (JPEG)",
            },
        },
        "device": {"processor": "Intel Xeon (2 cores, AVX512-VNNI)", "memory_gib": 7.6},
        "software": {"torch": "2.15.0", "onnxruntime": "1.31.1", "optuna": "5.0.0"},
    }
    return make_result(trials, space, folder, reference, provenance=provenance)


def _seeded_trial(number, rng, space):
    """One trial of a seeded study."""
    chosen = {name: rng.choice(parameter.values) for name, parameter in space.parameters.items()}
    variant = Variant(**chosen) if number else Variant()
    if number and rng.random() < 0.05:
        return make_trial(number, variant=variant, reason=rng.choice(_REASONS))
    kept = variant["width"] * (1 - variant["pruning_ratio"])
    share = 1.0 if variant["exit_threshold"] == 1.0 else 0.45 + 0.5 * (variant["exit_threshold"] - 0.7)
    speed = {"eager": 3.1, "onnxruntime": 1.42}[variant["runtime"]]
    speed *= {"none": 1.0, "dynamic_int8": 1.9, "static_int8": 0.34}[variant["quantization"]]
    latency = (0.05 + speed * kept**1.5 * share) * rng.uniform(0.97, 1.03)
    accuracy = 0.925 - 0.16 * (1 - kept) ** 2 - (0.006 if "int8" in variant["quantization"] else 0.0)
    accuracy = round((accuracy - 0.05 * (1 - share) + rng.gauss(0, 0.003)) * 5000) / 5000
    memory = 722.0 if variant["runtime"] == "eager" else 67.0 + 60.0 * kept
    mean, half = latency * 1.04, 1.96 * (accuracy * (1 - accuracy) / 5000) ** 0.5
    cost = 1e6 * mean / 1000 * (0.05 + 0.005 * memory / 1024) / 3600
    metrics = {
        "accuracy": Measurement(accuracy, accuracy - half, accuracy + half, 5000),
        "latency_ms": Measurement(latency, latency * 0.985, latency * 1.02, 400),
        "latency_mean_ms": Measurement(mean, mean * 0.98, mean * 1.02, 400),
        "latency_p99_ms": Measurement.unknown("p99 needs 662 queries, 400 were taken"),
        "cold_start_ms": Measurement(2400.0 if variant["runtime"] == "eager" else 160.0, n=1),
        "peak_memory_mib": Measurement(memory + rng.uniform(0, 4), n=1),
        "artifact_size_mib": Measurement(2.9 * kept**2 + 0.1),
        "n_parameters": Measurement(float(round(740_000 * kept**2))),
        "mega_macs": Measurement(82.0 * kept**2 * share),
        "cost_usd_per_million": Measurement(cost, cost * 0.98, cost * 1.02),
    }
    violations = {
        str(c): c.violation({k: m.value for k, m in metrics.items()}, {"accuracy": 0.925}) for c in space.constraints
    }
    stages = (Stage("materialize", 0.3, number % 3 == 0), Stage("export", 1.5), Stage("measure", 3.2))
    shares = (round(1 - share, 2), round(share, 2))
    exits = tuple(Exit(one, accuracy, Estimate(latency, None, None, 400)) for one in shares)
    build = make_build_facts(n_int8_layers=14 if "int8" in variant["quantization"] else 0)
    observed = make_observation(exits=exits, build=build)
    return make_trial(
        number, metrics, variant, violations=violations, stages=stages, observed=observed, artifact=f"{number:016x}"
    )


_REASONS = (
    "signal SIGSEGV in measure latency",
    "timeout in recover after 120 s",
    "export mismatch: logits differ by 0.0021, at most 0.0001 is allowed",
)


def hypervolume_shares(result):
    """The hypervolume after each trial, as a share of the box between reference and ideal point."""
    names, directions = [o.metric for o in result.objectives], [o.direction for o in result.objectives]
    reference, ideal = [result.reference_point[name] for name in names], ideal_point(result.objectives)
    box = hypervolume([[ideal[name] for name in names]], directions, reference)
    rows, shares = [], []
    for trial in result.trials:
        values = trial.values()
        if trial.is_feasible and all(name in values for name in names):
            rows.append([values[name] for name in names])
        shares.append(hypervolume(rows, directions, reference) / box if rows else 0.0)
    return shares


def staircase_of(result):
    """The trials that no other dominates in latency and accuracy alone, in ascending order of latency."""
    points = measured_points(front_view(result))
    return list(staircase(points, "latency_ms", "accuracy", axis_directions(result)))
