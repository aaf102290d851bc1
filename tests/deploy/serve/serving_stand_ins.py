"""Stand-ins for what is served: a scripted model whose answers say which images it got, and a bundle around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from explorer.deploy.manifest import Manifest
from explorer.deploy.serve.model import Model
from explorer.tasks.task import TensorSpec, task_named

SHAPE = (3, 8, 8)
INPUT = TensorSpec("images", "uint8", SHAPE)
CLASSES = ("ant", "bee", "cat", "döe", "elk", "fox")
N_EXITS = 3
NAME = "small-trial-7"


class Script:
    """Classifies by rule: the logits of an image are its first six pixel values, its exit is the first modulo three.

    `before` is called with every batch; `gate` is what a test may close, to hold the workers.
    """

    def __init__(self, before: Callable[[Any], None] = lambda images: None, delay_s: float = 0.0) -> None:
        self.batches: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self._before = before
        self._delay_s = delay_s
        self._lock = threading.Lock()

    def classify(self, images: Any) -> tuple[Any, Any]:
        with self._lock:
            self.batches.append(images)
        assert self.gate.wait(60)
        self._before(images)
        if self._delay_s:
            time.sleep(self._delay_s)
        values = images.reshape(len(images), -1)[:, : len(CLASSES)].astype(np.float32)
        return values, values[:, 0].astype(np.int64) % N_EXITS

    @property
    def n_images(self) -> int:
        return sum(len(batch) for batch in self.batches)


def model_of(script: Script, **changes: Any) -> Model:
    """The scripted model; `changes` are fields of Model."""
    fields: dict[str, Any] = {
        "name": NAME,
        "task": task_named("classification"),
        "facts": {"classes": list(CLASSES)},
        "input": INPUT,
        "output": TensorSpec("logits", "float32", (len(CLASSES),)),
        "n_exits": N_EXITS,
        "is_batch_invariant": True,
        "platform": "scripted_py",
        "summary": "scripted, float32, 3 exits; RGB 8 × 8; 6 classes",
        "run": script.classify,
    }
    return Model(**(fields | changes))


def image(*values: int) -> Any:
    """An image [3, 8, 8] that begins with these pixel values."""
    pixels = np.zeros(SHAPE, dtype=np.uint8)
    pixels.reshape(-1)[: len(values)] = values
    return pixels


def manifest_of(**execution: Any) -> Manifest:
    """A manifest made by hand; `execution` are changes of that part."""
    facts: dict[str, Any] = {
        "runtime": "onnxruntime",
        "plugin": "pareto-explorer",
        "provider": "CPUExecutionProvider",
        "quantization": "none",
        "packages": {"onnxruntime": "1.31.1"},
        "threads": 1,
        "exit_threshold": 0.8,
        "n_exits": N_EXITS,
        "is_batch_invariant": True,
    }
    return Manifest.model_validate(
        {
            "format": 2,
            "name": NAME,
            "chosen": {"study": "small", "trial": 7, "how": "trial 7", "is_feasible": True, "is_on_front": True},
            "variant": {
                "width": 0.5,
                "pruning_ratio": 0.0,
                "quantization": "none",
                "runtime": "onnxruntime",
                "exit_threshold": 0.8,
                "batch_size": 1,
                "threads": 1,
            },
            "metrics": {},
            "test_quality": {"accuracy": {"value": 0.9}},
            "exit_shares": [0.5, 0.3, 0.2],
            "task": {"name": "classification", "facts": {"classes": list(CLASSES)}},
            "inputs": [{"name": "images", "dtype": "uint8", "shape": list(SHAPE)}],
            "outputs": [{"name": "logits", "dtype": "float32", "shape": [len(CLASSES)]}],
            "input_facts": {"layout": "NCHW", "color": "RGB", "range": [0, 255]},
            "execution": facts | execution,
            "samples": {"n": 1, "tolerance": 1e-4},
            "provenance": {
                "created": "2026-11-21T00:00:00+00:00",
                "device": {
                    "processor": "made up",
                    "architecture": "x86_64",
                    "instructions": [],
                    "n_cores": 2,
                    "memory_mib": 1024,
                    "system": "Linux",
                },
                "software": {},
                "data": {
                    "name": "digits",
                    "kind": "digits",
                    "fingerprint": "d0",
                    "splits": "s0",
                    "n_training": 10,
                    "n_validation": 10,
                    "n_test": 10,
                },
                "weights": "w0",
                "search_space_sha256": "0" * 64,
                "search_space": {},
                "seed": 0,
                "artifact": "a0",
            },
            "files": {
                "model/artifact.json": {"sha256": "0" * 64, "bytes": 1},
                "model/segment_0.onnx": {"sha256": "1" * 64, "bytes": 1},
            },
        }
    )


@dataclass
class FakeBundle:
    """What `read_bundle` would give."""

    folder: Path
    script: Script
    manifest: Manifest

    def executor(self, threads: int | None = None) -> Any:
        return SimpleNamespace(classify=self.script.classify)
