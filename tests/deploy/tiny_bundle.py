"""A bundle of a hand-made model of the digits, whole and honest, made in a moment; `change_manifest` spoils it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from explorer import intervals
from explorer.data.preparing import prepare
from explorer.data.splits import split
from explorer.deploy.export.bundle import write_bundle
from explorer.deploy.export.plan import ExportPlan
from explorer.deploy.manifest import Manifest, with_checksum
from explorer.measure.metrics import Prices, cost
from explorer.parameters import PARAMETERS
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact, ArtifactFacts, segment_facts
from explorer.runtimes.runtime import SegmentFile
from explorer.runtimes.staged import exits_taken
from explorer.space.values import DataSettings
from explorer.study.confirm.confirmed_values import over_rounds
from explorer.system import environment
from explorer.system.hashing import file_sha256
from explorer.tasks.classification import Classification
from explorer.tasks.classification_files import confidence
from explorer.tasks.task import TensorSpec

DATA = DataSettings("digits", validation=200, calibration=32)
N_SAMPLES, THRESHOLD = 16, 0.9
LIMIT = {"metric": "accuracy", "comparison": ">=", "bound": 0.5, "is_relative": False}
PRICES = Prices(hardware_usd_per_hour=0.05, memory_usd_per_gib_hour=0.005, other_usd_per_million=0.0)
ROUNDS_MS = (1.2, 1.26, 1.25, 1.31, 1.22)
"""Mean latencies of the rounds that are stated to have confirmed it. Nothing was timed: `measured` is what is found."""


def digits() -> tuple[Any, Any]:
    """The data set and its splits, from the tests' own cache."""
    dataset = prepare(DATA, None, lambda _: None)
    return dataset, split(dataset, DATA, Classification())


def linear_model(has_features: bool, sharpness: float, domain: str = "") -> bytes:
    """Logits are larger the nearer an image is to the mean image of a class: [b, 1, 8, 8] -> [b, 10]."""
    dataset, splits = digits()
    images = dataset.train_inputs[splits.training].reshape(-1, 64) / 255.0
    labels = dataset.train_targets[splits.training]
    means = np.stack([images[labels == label].mean(axis=0) for label in range(10)])
    weights = (sharpness * 2 * means.T / 255.0).astype(np.float32)
    bias = (-sharpness * (means**2).sum(axis=1)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"], domain=domain),
    ]
    initializers = [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(bias, "bias")]
    raw = helper.make_tensor_value_info("images", TensorProto.UINT8, ["b", 1, 8, 8])
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 10])]
    graph = helper.make_graph(nodes, "digits", [raw], [*outputs, raw] if has_features else outputs, initializers)
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return content


def write_tiny_bundle(folder: Path, n_exits: int = 1, variant: Variant | None = None) -> Path:
    """Write the bundle to the new folder `folder`; the artifact that it is made of lies beside it."""
    variant = variant or Variant(runtime="onnxruntime", exit_threshold=THRESHOLD if n_exits > 1 else 1.0)
    variant = Variant({name: variant[name] for name in PARAMETERS})
    artifact = _artifact(folder.with_name(f"{folder.name}-artifact"), n_exits, variant)
    folder.mkdir()
    manifest, samples = _manifest(artifact, variant)
    write_bundle(folder, ExportPlan(artifact, manifest, samples, "# a card\n", "<svg/>\n"))
    return folder


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change manifest.json as a stranger would who sees to it that the seal still fits."""
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(with_checksum(json.dumps({**facts, "seal": "0" * 64})))


def seal(folder: Path, *names: str) -> None:
    """State the present sizes and hashes of these files, and of the segments in artifact.json too."""
    artifact = folder / "model" / "artifact.json"
    facts = json.loads(artifact.read_text())
    for segment in facts["segments"]:
        segment |= _facts_of(folder / "model" / segment["file"])
    artifact.write_text(json.dumps(facts))
    state(folder, "model/artifact.json", *names)


def state(folder: Path, *names: str) -> None:
    """State the present sizes and hashes of these files in the manifest alone."""
    change_manifest(folder, lambda facts: facts["files"].update({name: _facts_of(folder / name) for name in names}))


def _facts_of(path: Path) -> dict[str, Any]:
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}


def _artifact(folder: Path, n_exits: int, variant: Variant) -> Artifact:
    folder.mkdir()
    segments = []
    for index in range(n_exits):
        path = folder / f"segment_{index}.onnx"
        path.write_bytes(linear_model(has_features=index < n_exits - 1, sharpness=1.0 + index))
        segments.append(segment_facts(SegmentFile(path.name, 1, 0, 0.0), 0.00064, folder))
    facts = ArtifactFacts(
        id="0123456789abcdef0123",
        runtime="onnxruntime",
        quantization="none",
        exit_threshold=variant["exit_threshold"],
        trust="checked",
        input=TensorSpec("images", "uint8", (1, 8, 8)),
        is_batch_invariant=True,
        n_parameters=650 * n_exits,
        int8_range=None,
        max_logit_difference=0.0,
        segments=tuple(segments),
    )
    (folder / "artifact.json").write_text(json.dumps(facts.to_json()))
    return Artifact.read(folder)


def _manifest(artifact: Artifact, variant: Variant) -> tuple[Manifest, bytes]:
    dataset, splits = digits()
    images, labels = np.load(splits.examples.inputs), np.load(splits.examples.targets)
    accuracy, outputs = _judged(artifact, variant, images, labels)
    n_exits = artifact.n_exits
    searched = {"accuracy": accuracy, **_measured(artifact, outputs["exits"], variant)}
    on_test, _ = _judged(artifact, variant, dataset.test_inputs, dataset.test_targets)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        inputs=images[:N_SAMPLES],
        targets=labels[:N_SAMPLES],
        outputs=outputs["outputs"][:, :N_SAMPLES],
        exits=outputs["exits"][:N_SAMPLES],
        answers=outputs["answers"][:N_SAMPLES],
    )
    processor = environment.processor()
    facts = {
        "format": 2,
        "name": "tiny-trial-1",
        "task": {"name": "classification", "facts": {"classes": dataset.facts["classes"]}},
        "chosen": {"study": "tiny", "trial": 1, "how": "by hand", "is_feasible": True, "is_on_front": True},
        "variant": variant.to_json(),
        "metrics": {name: metric.to_json() for name, metric in searched.items()},
        "confirmed": {
            "rounds": len(ROUNDS_MS),
            "metrics": {name: metric.to_json() for name, metric in _confirmed(searched, variant).items()},
            "probability": 0.9,
            "ties": [2],
        },
        "test_quality": {"accuracy": on_test.to_json()},
        "exit_shares": (np.bincount(outputs["exits"], minlength=n_exits) / len(labels)).tolist(),
        "inputs": [artifact.facts.input.to_json()],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [10]}],
        "input_facts": {"layout": "NCHW", "color": "gray", "range": [0, 255]},
        "execution": {
            "runtime": "onnxruntime",
            "plugin": "pareto-explorer",
            "provider": "CPUExecutionProvider",
            "quantization": "none",
            "packages": {"onnxruntime": environment.packages()["onnxruntime"]},
            "threads": variant["threads"],
            "exit_threshold": variant["exit_threshold"],
            "n_exits": artifact.n_exits,
            "is_batch_invariant": True,
        },
        "samples": {"n": N_SAMPLES, "tolerance": 1e-4},
        "provenance": {
            "created": "2026-11-21T00:00:00+00:00",
            "device": {
                "processor": processor["name"],
                **{name: processor[name] for name in ("architecture", "instructions", "n_cores")},
                "memory_mib": environment.memory_mib(),
                "system": "any",
            },
            "software": environment.software(),
            "data": {
                "name": dataset.name,
                "kind": dataset.kind,
                "fingerprint": dataset.fingerprint,
                "splits": splits.fingerprint,
                "n_training": len(splits.training),
                "n_validation": len(splits.validation),
                "n_test": len(dataset.test_targets),
            },
            "weights": "none",
            "search_space_sha256": "0" * 64,
            "search_space": {"data": asdict(DATA), "device": asdict(PRICES), "constraints": [LIMIT]},
            "seed": 0,
            "artifact": artifact.id,
        },
        "files": {f"model/{path.name}": _facts_of(path) for path in sorted(artifact.folder.iterdir())},
    }
    return Manifest.model_validate_json(json.dumps(facts)), buffer.getvalue()


def _measured(artifact: Artifact, exits: Any, variant: Variant) -> dict[str, Measurement]:
    """What a search may have measured."""
    cumulative = np.cumsum([segment.mega_macs for segment in artifact.facts.segments])
    macs = Measurement(float(cumulative[0])) if len(cumulative) == 1 else intervals.mean(cumulative[exits])
    return {
        **timed(Measurement(1.25, 1.2, 1.3, 200), variant),
        "artifact_size_mib": Measurement(artifact.size_mib),
        "n_parameters": Measurement(float(artifact.facts.n_parameters)),
        "mega_macs": macs,
        "energy_mj": Measurement.unknown("no counters"),
    }


def timed(mean_ms: Measurement, variant: Variant) -> dict[str, Measurement]:
    """What is measured of a model that takes `mean_ms`."""
    assert mean_ms.value is not None
    value, n = mean_ms.value, mean_ms.n
    peak = Measurement(64.0, n=1)
    times = {"latency_ms": 0.96, "latency_p90_ms": 1.1, "latency_p95_ms": 1.2}
    rate = 1000 * variant["batch_size"]
    return {
        **{name: Measurement(k * value, 0.99 * k * value, 1.01 * k * value, n) for name, k in times.items()},
        "latency_mean_ms": mean_ms,
        "latency_p99_ms": Measurement.unknown("a 99th percentile needs 662 queries"),
        "throughput_per_s": Measurement(rate / value, rate / (mean_ms.high or value), rate / (mean_ms.low or value), n),
        "cold_start_ms": Measurement(400 * value, n=1),
        "peak_memory_mib": peak,
        "model_memory_mib": Measurement(12.0, n=1),
        "cost_usd_per_million": cost(PRICES, mean_ms, peak, variant["batch_size"]),
    }


def _confirmed(searched: Mapping[str, Measurement], variant: Variant) -> dict[str, Measurement]:
    """The medians over rounds; what no round changes, or knows, is the search's."""
    rounds = [timed(Measurement(ms, 0.98 * ms, 1.02 * ms, 60), variant) for ms in ROUNDS_MS]
    known = {name: over_rounds([one[name] for one in rounds]) for name in rounds[0]}
    return {name: found if (found := known.get(name, one)).value is not None else one for name, one in searched.items()}


def _judged(artifact: Artifact, variant: Variant, images: Any, labels: Any) -> tuple[Measurement, dict[str, Any]]:
    logits = artifact.load(1).all_exits(np.ascontiguousarray(images))
    exits = exits_taken(logits, variant["exit_threshold"], confidence)
    answers = np.take_along_axis(logits, exits[None, :, None], axis=0)[0]
    accuracy = intervals.share(int((answers.argmax(axis=1) == labels).sum()), len(labels))
    return accuracy, {"outputs": logits, "exits": exits, "answers": answers}
