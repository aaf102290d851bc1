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

from explorer.records import Variant
from explorer.runtimes.artifact import ArtifactFacts, is_whole_model, segment_facts, store_artifact
from explorer.runtimes.runtime import ExportJob
from explorer.system.files import new_folder, write_json
from explorer.system.hashing import cache_root, content_key
from explorer.system.worker_loop import Answers, serve
from explorer.tasks.task import Examples

N_IMAGES = 400
_BUILD_S = 0.005
_PHASE = {"wall_s": 0.002, "processor_s": 0.002, "waited_s": 0.0, "suspended_s": 0.0, "was_stopped": False}
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
    facts = {"classes": ["right", "wrong"]}
    return {
        "task": {"name": "classification", "facts": facts},
        "data": {
            "name": "digits",
            "kind": "made up",
            "fingerprint": "d0",
            "splits": "s0",
            "input": {"name": "images", "dtype": "uint8", "shape": [1, 2, 2]},
            "n_training": N_IMAGES,
            "n_test": N_IMAGES,
        },
        "validation": Examples(images, labels, "s0", "classification", facts).to_json(),
        "test": Examples(images, labels, "d0 test", "classification", facts).to_json(),
        "weights": {"fingerprint": "w0", "card": {}},
        "input": {"stated": None, "mean": [0.5], "std": [0.5]},
        "references": [],
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
    artifact = store_artifact(model, key, variant, Path(request["artifacts"]))
    _keep_findings(variant, artifact.id)
    return {
        "artifact": artifact.id,
        "stages": [
            {"name": name, "seconds": seconds, "is_cached": False}
            for name, seconds in (("width", _BUILD_S), ("export", 0.0), ("store", 0.0))
        ],
        "network": key,
        "pruned": {},
        "memory_bytes": {
            "parameters": 4000,
            "activations": 2000,
            "workspace": 1000,
            "segments": [{"parameters": 4000, "traffic": 8000}],
        },
    }


def _export(variant: Variant, key: str, folder: Path) -> None:
    job = ExportJob(key, False, variant["quantization"], np.zeros((1, 1, 2, 2), dtype=np.uint8), folder)
    (segment,) = scripted_runtime.Scripted().export(job, folder)
    facts = ArtifactFacts(
        id="",
        runtime=variant["runtime"],
        quantization=variant["quantization"],
        exit_threshold=1.0,
        trust="checked",
        input=job.input,
        is_batch_invariant=True,
        n_parameters=int(1000 * variant["width"]),
        int8_range=None,
        max_logit_difference=0.0,
        segments=(segment_facts(segment, float(variant["width"]), folder),),
    )
    write_json(folder / "model.json", facts.to_json())


def _keep_findings(variant: Variant, artifact: str) -> None:
    """Raw samples as a real probe writes them, with the anchor's times and without, and the facts beside them."""
    values = scripted_runtime.known_values(variant)
    predictions = (np.arange(N_IMAGES) >= round(values["accuracy"] * N_IMAGES)).astype(np.int64)
    latency_ns = (values["latency_ms"] * 1e6 * (1 + np.linspace(-0.01, 0.01, _N_QUERIES))).astype(np.int64)
    answers = np.stack([1 - predictions, predictions], axis=1).astype(np.float32)
    raw = {
        "outputs": answers[None],
        "exits": np.zeros(N_IMAGES, dtype=np.int64),
        "answers": answers,
        "latency_raw_ns": latency_ns,
        "latency_slice": np.zeros(_N_QUERIES, dtype=np.int64),
        "latency_exits": np.zeros((_N_QUERIES, 1), dtype=np.int64),
        "stretch_wall_ns": np.full(3, 30_000_000),  # the anchor, the candidate, the anchor
        "stretch_processor_ns": np.full(3, 30_000_000),
    }
    anchor = {"anchor_ns": np.full((6, 3), 100_000), "anchor_slice": np.repeat([0, 1], 3)}
    with (_made() / f"{artifact}.npz").open("wb") as file:
        np.savez(file, **raw, **anchor)
    facts = {
        "runtime_mib": 50.0,
        "peak_memory_mib": values["peak_memory_mib"],
        "busy_cores": 1.0,
        "modules": [],
        "is_steady": True,
        "is_narrow": True,
        "energy_mj": None,
        "energy_why": "nothing was executed",
        "n_answers": N_IMAGES,
        "n_different": 0,
        "phases": dict.fromkeys(("start", "import", "load", "first answer"), _PHASE),
    }
    (_made() / f"{artifact}.json").write_text(json.dumps(facts), encoding="ascii")


def _made() -> Path:
    return cache_root() / "scripted"


if __name__ == "__main__":
    scripted_runtime.register()
    steps.watch("builder")
    serve(handle, lambda request: [])
