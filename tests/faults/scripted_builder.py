"""A builder that answers as the real one does, in milliseconds and without torch; artifacts are stored as ever."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import scripted_runtime
import steps

from explorer.cache import cache_root
from explorer.files import new_folder, write_json
from explorer.hashing import content_key, file_sha256
from explorer.measure.answering import Answers, serve
from explorer.records import Variant
from explorer.runtimes.artifact import is_whole_model, store_artifact
from explorer.runtimes.runtime import ExportJob

N_IMAGES = 400
_BUILD_S = 0.005
_N_QUERIES = 40


def handle(request: dict[str, Any], answers: Answers) -> None:
    """Answer `prepare` and `build`."""
    answers.result(_prepare() if request["op"] == "prepare" else _build(request, answers))


def _prepare() -> dict[str, Any]:
    """Images that are all of class 0."""
    images, labels = _made() / "images.npy", _made() / "labels.npy"
    images.parent.mkdir(parents=True, exist_ok=True)
    np.save(images, np.zeros((N_IMAGES, 1, 2, 2), dtype=np.uint8))
    np.save(labels, np.zeros(N_IMAGES, dtype=np.int64))
    return {
        "n_classes": 2,
        "class_names": ["right", "wrong"],
        "data": {
            "name": "digits",
            "kind": "made up",
            "fingerprint": "d0",
            "splits": "s0",
            "image_shape": [1, 2, 2],
            "n_training": N_IMAGES,
            "n_test": N_IMAGES,
        },
        "validation_images": str(images),
        "validation_labels": str(labels),
        "test_images": str(images),
        "test_labels": str(labels),
        "weights": {"fingerprint": "w0", "card": {}},
    }


def _build(request: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """Store the artifact of a variant, and keep for the probe what it will find."""
    variant = Variant.from_json(request["variant"])
    answers.phase("build")
    answers.progress({"stage": "build", "done": 0.0, "total": None, "note": ""})
    time.sleep(_BUILD_S)
    key = content_key({"scripted": variant.to_json()})
    answers.phase("export")
    model = cache_root() / "models" / key
    if not is_whole_model(model):
        shutil.rmtree(model, ignore_errors=True)
        with new_folder(model) as draft:
            _export(variant, key, draft)
    answers.phase("store")
    artifact = store_artifact(model, key, variant.runtime, variant.quantization, 1.0, Path(request["artifacts"]))
    _keep_findings(variant, artifact.id)
    return {
        "artifact": artifact.id,
        "stages": [["width", _BUILD_S, False], ["export", 0.0, False], ["store", 0.0, False]],
        "network": key,
        "memory_bytes": {
            "parameters": 4000,
            "activations": 2000,
            "workspace": 1000,
            "total": 7000,
            "traffic": 8000,
            "segments": [{"parameters": 4000, "traffic": 8000}],
        },
    }


def _export(variant: Variant, key: str, folder: Path) -> None:
    job = ExportJob(key, False, variant.quantization, np.zeros((1, 1, 2, 2), dtype=np.uint8), folder)
    (segment,) = scripted_runtime.Scripted().export(job, folder)
    file = folder / segment.file
    facts = {
        "file": segment.file,
        "n_layers": segment.n_layers,
        "n_int8_layers": segment.n_int8_layers,
        "int8_mac_share": segment.int8_mac_share,
        "mega_macs": float(variant.width),
        "sha256": file_sha256(file),
        "bytes": file.stat().st_size,
    }
    write_json(
        folder / "model.json",
        {
            "input": {"name": "images", "dtype": "uint8", "shape": [1, 2, 2]},
            "is_batch_invariant": True,
            "n_parameters": int(1000 * variant.width),
            "n_layers": segment.n_layers,
            "n_int8_layers": segment.n_int8_layers,
            "int8_mac_share": segment.int8_mac_share,
            "max_logit_difference": 0.0,
            "segments": [facts],
        },
    )


def _keep_findings(variant: Variant, artifact: str) -> None:
    """Raw samples as a real probe writes them, with the anchor's times and without, and the facts beside them."""
    values = scripted_runtime.known_values(variant)
    predictions = (np.arange(N_IMAGES) >= round(values["accuracy"] * N_IMAGES)).astype(np.int64)
    latency_ns = (values["latency_ms"] * 1e6 * (1 + np.linspace(-0.01, 0.01, _N_QUERIES))).astype(np.int64)
    raw = {
        "logits": np.stack([1 - predictions, predictions], axis=1)[None].astype(np.float32),
        "exits": np.zeros(N_IMAGES, dtype=np.int64),
        "predictions": predictions,
        "latency_raw_ns": latency_ns,
        "latency_window": np.zeros(_N_QUERIES, dtype=np.int64),
        "latency_exits": np.zeros((_N_QUERIES, 1), dtype=np.int64),
        "pulse_ns": np.full(6, 1000),
        "pulse_window": np.repeat([0, 1], 3),
        "stretch_wall_ns": latency_ns,
        "stretch_processor_ns": latency_ns,
    }
    anchored = {"anchor_ns": np.full(6, 100_000), "anchor_window": np.repeat([0, 1], 3)}
    alone = {name: times[:0] for name, times in anchored.items()}
    for suffix, anchor in (("alone", alone), ("anchored", anchored)):
        with (_made() / f"{artifact}-{suffix}.npz").open("wb") as file:
            np.savez(file, **raw, **anchor)
    facts = {
        "runtime_mib": 50.0,
        "peak_memory_mib": values["peak_memory_mib"],
        "busy_cores": 1.0,
        "cold_start_ms": [1.0, 2.0, 3.0, 4.0],
        "modules": [],
        "is_steady": True,
        "is_narrow": True,
        "energy_mj": None,
        "energy_why": "nothing was executed",
        "n_answers": N_IMAGES,
        "n_different": 0,
        "phases": {},
    }
    (_made() / f"{artifact}.json").write_text(json.dumps(facts), encoding="ascii")


def _made() -> Path:
    return cache_root() / "scripted"


if __name__ == "__main__":
    scripted_runtime.register()
    steps.watch("builder")
    serve(handle, lambda request: [])
