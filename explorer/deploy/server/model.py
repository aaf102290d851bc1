"""The model that is served: what its manifest says of input and output, and the executor that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from explorer.deploy.manifest import MODEL, Manifest
from explorer.errors import VerificationFailed
from explorer.runtimes.staged import Array

VERSION = "1"

Classify = Callable[[Array], tuple[Array, Array]]
"""uint8 images [b, c, h, w] -> (logits float32 [b, k], index of the exit that each image took [b])."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a name and a version; `classify` may be called from several threads at once.

    shape     (channels, height, width) of an image
    platform  what executes it and what its files are, as `onnxruntime_onnx`
    summary   the variant, for people
    """

    name: str
    input_name: str
    logits_name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    n_exits: int
    is_batch_invariant: bool
    platform: str
    summary: str
    classify: Classify

    @classmethod
    def of_bundle(cls, manifest: Manifest, classify: Classify) -> Model:
        """The model of a bundle."""
        execution = manifest.execution
        return cls(
            name=manifest.name,
            input_name=manifest.input.name,
            logits_name=manifest.output.name,
            shape=manifest.input.shape,
            classes=tuple(manifest.output.classes),
            n_exits=execution.n_exits,
            is_batch_invariant=execution.is_batch_invariant,
            platform=f"{execution.runtime}_{_file_type(manifest)}",
            summary=_summary(manifest),
            classify=classify,
        )

    def warm_up(self) -> None:
        """Classify one blank image: the first one takes longest. Raises VerificationFailed when that does not work."""
        try:
            logits, exits = self.classify(np.zeros((1, *self.shape), dtype=np.uint8))
            self.check(logits, exits, 1)
        except Exception as error:  # whatever the runtime raises for a model that is not what its manifest says
            raise VerificationFailed(
                f"the model {self.name} does not classify a blank image as its manifest says ({error}): "
                "`explore verify` says what is wrong with the bundle"
            ) from error

    def check(self, logits: Array, exits: Array, n_images: int) -> None:
        """Raises ValueError unless logits [n, k] are finite and exits [n] are some of the model's."""
        if logits.shape != (n_images, len(self.classes)):
            raise ValueError(f"expected logits of shape {[n_images, len(self.classes)]}, got {list(logits.shape)}")
        if not np.isfinite(logits).all():
            raise ValueError("the logits are not finite numbers")
        if exits.shape != (n_images,) or exits.min() < 0 or exits.max() >= self.n_exits:
            raise ValueError(f"expected {n_images} exits from 0 to {self.n_exits - 1}, got {exits.tolist()[:10]}")


def _file_type(manifest: Manifest) -> str:
    """The suffix of the model's files that is not artifact.json's."""
    suffixes = {PurePosixPath(name).suffix for name in manifest.files if name.startswith(f"{MODEL}/")} - {".json"}
    return "_".join(sorted(suffix.removeprefix(".") for suffix in suffixes))


def _summary(manifest: Manifest) -> str:
    execution = manifest.execution
    channels, height, width = manifest.input.shape
    exits = f"{execution.n_exits} exits" if execution.n_exits > 1 else "no early exit"
    quantization = "float32" if execution.quantization == "none" else execution.quantization.replace("_", " ")
    size = f"{'gray' if channels == 1 else manifest.input.color} {width} × {height}"
    return f"{execution.runtime}, {quantization}, {exits}; {size}; {len(manifest.output.classes)} classes"
