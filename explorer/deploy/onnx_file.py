"""The ONNX file: an artifact as one self-contained model.onnx, which says in its properties what it is."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.deploy.manifest import Manifest
from explorer.errors import UsageError
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.onnx_compose import compose

FILE_NAME = "model.onnx"


def write_onnx(folder: Path, artifact: Artifact, manifest: Manifest) -> None:
    """Write `folder`/model.onnx. Raises OSError, and what `onnx_model` raises."""
    (folder / FILE_NAME).write_bytes(onnx_model(artifact, manifest))


def onnx_model(artifact: Artifact, manifest: Manifest) -> bytes:
    """The content of model.onnx: see `explorer.runtimes.onnx_compose.compose` for its inputs and outputs.

    Raises UsageError for an artifact that is not of ONNX files, ExportFailed when its segments make no model.
    """
    runtime = artifact.facts["runtime"]
    if runtime != "onnxruntime":
        raise UsageError(
            f"expected a variant of runtime onnxruntime, but {manifest.name} runs in {runtime} and has no ONNX form: "
            "choose another trial, or export this one with --format bundle"
        )
    files = [artifact.folder / segment["file"] for segment in artifact.facts["segments"]]
    return compose(files, artifact.facts["exit_threshold"], properties(artifact, manifest))


def properties(artifact: Artifact, manifest: Manifest) -> dict[str, str]:
    """What the model says of itself: plain text for one word, JSON for everything else."""
    execution, given = manifest.execution, manifest.input
    facts = {
        "trial": manifest.chosen.trial,
        "variant": manifest.variant.model_dump(),
        "classes": manifest.output.classes,
        "exit_threshold": execution.exit_threshold,
        "n_exits": execution.n_exits,
        "is_batch_invariant": execution.is_batch_invariant,
        "accuracy": manifest.metrics["accuracy"].model_dump(),
        "test_accuracy": manifest.test_accuracy.model_dump(),
        "input": given.model_dump(exclude={"name"}),
        "segments_sha256": [segment["sha256"] for segment in artifact.facts["segments"]],
        "packages": execution.packages,
    }
    words = {
        "name": manifest.name,
        "study": manifest.chosen.study,
        "artifact": artifact.id,
        "created": manifest.provenance.created,
    }
    return words | {key: json.dumps(value, allow_nan=False) for key, value in facts.items()}
