"""The served model: its task, its tensors from the manifest, and the executor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from explorer.deploy.manifest import MODEL, Manifest
from explorer.errors import VerificationFailed
from explorer.runtimes.staged import Array
from explorer.tasks.task import Facts, Task, TensorSpec, task_named

VERSION = "1"

Run = Callable[[Array], tuple[Array, Array]]
"""Inputs [b, ...] -> (outputs float32 [b, k], index of the exit that each example took [b])."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model with a name and a version. `run` is thread-safe.

    platform  the runtime and the file type, such as `onnxruntime_onnx`
    summary   the variant in words
    """

    name: str
    task: Task
    facts: Facts
    input: TensorSpec
    output: TensorSpec
    n_exits: int
    is_batch_invariant: bool
    platform: str
    summary: str
    run: Run

    @classmethod
    def of_bundle(cls, manifest: Manifest, run: Run) -> Model:
        """Return the model of a bundle, whose inputs [b, ...] `run` answers with outputs [b, k] and exits [b]."""
        execution = manifest.execution
        return cls(
            name=manifest.name,
            task=task_named(manifest.task.name),
            facts=manifest.task.facts,
            input=manifest.input.spec,
            output=manifest.output.spec,
            n_exits=execution.n_exits,
            is_batch_invariant=execution.is_batch_invariant,
            platform=f"{execution.runtime}_{_file_type(manifest)}",
            summary=_summary(manifest),
            run=run,
        )

    def warm_up(self) -> None:
        """Run on one blank example, because the first call takes longest. Raises VerificationFailed when it fails."""
        try:
            outputs, exits = self.run(np.zeros((1, *self.input.shape), dtype=self.input.dtype))
            self.check(outputs, exits, 1)
        except Exception as error:  # whatever the runtime raises for a model that is not what its manifest says
            raise VerificationFailed(
                f"the model {self.name} does not {self.task.verb[0]} a blank {self.task.noun[0]} as its manifest says "
                f"({error}): `explore verify` says what is wrong with the bundle"
            ) from error

    def check(self, outputs: Array, exits: Array, n: int) -> None:
        """Raise ValueError unless outputs [n, k] are finite and exits [n] are exits of the model."""
        name, shape = self.output.name, (n, *self.output.shape)
        if outputs.shape != shape:
            raise ValueError(f"expected {name} of shape {list(shape)}, got {list(outputs.shape)}")
        if not np.isfinite(outputs).all():
            raise ValueError(f"the {name} are not finite numbers")
        if exits.shape != (n,) or exits.min() < 0 or exits.max() >= self.n_exits:
            raise ValueError(f"expected {n} exits from 0 to {self.n_exits - 1}, got {exits.tolist()[:10]}")


def _file_type(manifest: Manifest) -> str:
    """Return the suffix of the model's files other than artifact.json."""
    suffixes = {PurePosixPath(name).suffix for name in manifest.files if name.startswith(f"{MODEL}/")} - {".json"}
    return "_".join(sorted(suffix.removeprefix(".") for suffix in suffixes))


def _summary(manifest: Manifest) -> str:
    execution = manifest.execution
    exits = f"{execution.n_exits} exits" if execution.n_exits > 1 else "no early exit"
    quantization = "float32" if execution.quantization == "none" else execution.quantization.replace("_", " ")
    shown = task_named(manifest.task.name).input_summary(manifest.input.spec.shape, manifest.task.facts)
    return f"{execution.runtime}, {quantization}, {exits}; {shown}"
