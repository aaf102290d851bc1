"""ONNX files: an artifact as one self-contained model.onnx with metadata."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.deploy.export.plan import ExportPlan
from explorer.deploy.manifest import Manifest
from explorer.errors import UsageError
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.onnx_compose import compose
from explorer.runtimes.runtime import runtime, survey
from explorer.tasks.classification_files import confidence
from explorer.tasks.task import task_named

FILE_NAME = "model.onnx"
SUFFIX = ".onnx"


def write_onnx(folder: Path, plan: ExportPlan) -> None:
    """Write `folder`/model.onnx. Raises OSError, and what `onnx_model` raises."""
    (folder / FILE_NAME).write_bytes(onnx_model(plan.artifact, plan.manifest))


def onnx_model(artifact: Artifact, manifest: Manifest) -> bytes:
    """Return the content of model.onnx; `explorer.runtimes.onnx_compose.compose` describes its inputs and outputs.

    Raises UsageError for an artifact without ONNX files, ExportFailed when its segments cannot be composed.
    """
    if runtime(artifact.facts.runtime).suffix != SUFFIX:
        those = ", ".join(name for name, plugin in survey()[0].items() if plugin.suffix == SUFFIX)
        raise UsageError(
            f"expected a variant of a runtime with ONNX files ({those}), but {manifest.name} runs in "
            f"{artifact.facts.runtime} and has no ONNX form: choose another trial, or export this one with "
            "--format bundle"
        )
    task = task_named(manifest.task.name)
    if artifact.n_exits > 1 and task.confidence is not confidence:
        raise UsageError(
            f"{manifest.name} takes early exits by the rule of the task {task.name}, which has no ONNX form: choose a "
            "trial without early exits, or export this one with --format bundle"
        )
    return compose(artifact.files, artifact.facts.exit_threshold, properties(artifact, manifest))


def properties(artifact: Artifact, manifest: Manifest) -> dict[str, str]:
    """Return the metadata of the model: names as plain text, everything else as JSON."""
    execution, given = manifest.execution, manifest.input
    normalization = manifest.normalization and manifest.normalization.model_dump()
    facts = {
        "trial": manifest.chosen.trial,
        "variant": manifest.variant.to_json(),
        "task": manifest.task.name,
        **manifest.task.facts,
        "exit_threshold": execution.exit_threshold,
        "n_exits": execution.n_exits,
        "is_batch_invariant": execution.is_batch_invariant,
        **{name: manifest.metrics[name].model_dump() for name in manifest.test_quality if name in manifest.metrics},
        **{f"test_{name}": metric.model_dump() for name, metric in manifest.test_quality.items()},
        "input": {**given.model_dump(exclude={"name"}), **manifest.input_facts, "normalization": normalization},
        "segments_sha256": [segment.sha256 for segment in artifact.facts.segments],
        "packages": execution.packages,
    }
    words = {
        "name": manifest.name,
        "study": manifest.chosen.study,
        "artifact": artifact.id,
        "created": manifest.provenance.created,
    }
    return words | {key: json.dumps(value, allow_nan=False) for key, value in facts.items()}
