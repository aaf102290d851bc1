"""A bundle of a hand-made model of the digits, whole and honest, made in a moment; `change_manifest` spoils it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from explorer import environment
from explorer.data import prepare, split
from explorer.deploy.bundle import write_bundle
from explorer.deploy.facts import Departure
from explorer.deploy.manifest import Manifest
from explorer.deploy.seal import sealed
from explorer.hashing import file_sha256
from explorer.measure import intervals
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.staged import exits_taken
from explorer.space.values import DataSettings

DATA = DataSettings("digits", validation=200, calibration=32)
N_SAMPLES, THRESHOLD = 16, 0.9
# Never reached by a model of 650 weights: what a test does not ask for holds.
SLOW = {"value": 900.0, "low": 800.0, "high": 1000.0, "n": 200}


def digits() -> tuple[Any, Any]:
    """The data set and its splits, from the tests' own cache."""
    dataset = prepare(DATA, None, lambda _: None)
    return dataset, split(dataset, DATA)


def linear_model(has_features: bool, sharpness: float, domain: str = "") -> bytes:
    """Logits are larger the nearer an image is to the mean image of a class: [b, 1, 8, 8] -> [b, 10]."""
    dataset, splits = digits()
    images = dataset.train_images[splits.training].reshape(-1, 64) / 255.0
    labels = dataset.train_labels[splits.training]
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
    artifact = _artifact(folder.with_name(f"{folder.name}-artifact"), n_exits, variant)
    folder.mkdir()
    manifest, samples = _manifest(artifact, variant)
    write_bundle(folder, Departure(artifact, manifest, samples), "# a card\n", "<svg/>\n")
    return folder


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change manifest.json as a stranger would who sees to it that the seal still fits."""
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(sealed(json.dumps({**facts, "seal": "0" * 64})))


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
        segments.append({"file": path.name, "mega_macs": 0.00064, **_facts_of(path)})
    facts = {
        "format": 1,
        "id": "0123456789abcdef0123",
        "runtime": "onnxruntime",
        "quantization": "none",
        "exit_threshold": variant.exit_threshold,
        "input": {"name": "images", "dtype": "uint8", "shape": [1, 8, 8]},
        "is_batch_invariant": True,
        "n_parameters": 650 * n_exits,
        "segments": segments,
    }
    (folder / "artifact.json").write_text(json.dumps(facts))
    return Artifact.read(folder)


def _manifest(artifact: Artifact, variant: Variant) -> tuple[Manifest, bytes]:
    dataset, splits = digits()
    images, labels = np.load(splits.validation_images), np.load(splits.validation_labels)
    accuracy, outputs = _judged(artifact, variant, images, labels)
    on_test, _ = _judged(artifact, variant, dataset.test_images, dataset.test_labels)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        images=images[:N_SAMPLES],
        labels=labels[:N_SAMPLES],
        logits=outputs["logits"][:, :N_SAMPLES],
        exits=outputs["exits"][:N_SAMPLES],
        predictions=outputs["predictions"][:N_SAMPLES],
    )
    processor = environment.processor()
    facts = {
        "format": 1,
        "name": "tiny-trial-1",
        "chosen": {"study": "tiny", "trial": 1, "how": "by hand", "is_feasible": True, "is_on_front": True},
        "variant": variant.to_json(),
        "metrics": {
            "accuracy": accuracy.to_json(),
            "latency_ms": SLOW,
            "latency_mean_ms": SLOW,
            "peak_memory_mib": {"value": 4000.0, "low": None, "high": None, "n": 1},
            "artifact_size_mib": {"value": artifact.size_mib, "low": None, "high": None, "n": None},
        },
        "test_accuracy": on_test.to_json(),
        "exit_shares": [1.0],
        "input": {
            "name": "images",
            "dtype": "uint8",
            "layout": "NCHW",
            "color": "gray",
            "range": [0, 255],
            "shape": [1, 8, 8],
        },
        "output": {"name": "logits", "dtype": "float32", "classes": list(dataset.class_names)},
        "execution": {
            "runtime": "onnxruntime",
            "provider": "CPUExecutionProvider",
            "quantization": "none",
            "packages": {"onnxruntime": environment.packages()["onnxruntime"]},
            "threads": variant.threads,
            "exit_threshold": variant.exit_threshold,
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
                "n_test": len(dataset.test_labels),
            },
            "weights": "none",
            "search_space_sha256": "0" * 64,
            "search_space": {"data": asdict(DATA)},
            "seed": 0,
            "artifact": artifact.id,
        },
        "files": {f"model/{path.name}": _facts_of(path) for path in sorted(artifact.folder.iterdir())},
    }
    return Manifest.model_validate_json(json.dumps(facts)), buffer.getvalue()


def _judged(artifact: Artifact, variant: Variant, images: Any, labels: Any) -> tuple[Measurement, dict[str, Any]]:
    logits = artifact.load(1).all_exits(np.ascontiguousarray(images))
    exits = exits_taken(logits, variant.exit_threshold)
    predictions = np.take_along_axis(logits, exits[None, :, None], axis=0)[0].argmax(axis=1)
    accuracy = intervals.share(int((predictions == labels).sum()), len(labels))
    return accuracy, {"logits": logits, "exits": exits, "predictions": predictions}
