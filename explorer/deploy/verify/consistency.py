"""Consistency of artifact.json with the manifest."""

from __future__ import annotations

import math
from typing import Any

from explorer.deploy.manifest import MANIFEST, MODEL, Manifest
from explorer.errors import VerificationFailed
from explorer.runtimes.artifact import FILE_NAME, ArtifactFacts
from explorer.runtimes.runtime import runtime

_MAX_QUERY_BYTES = 2**30


def check_artifact(facts: dict[str, Any], manifest: Manifest) -> None:
    """Raise VerificationFailed where `facts`, artifact.json, and the manifest differ, or the manifest with itself."""
    name, execution, variant = f"{MODEL}/{FILE_NAME}", manifest.execution, manifest.variant
    try:
        artifact = ArtifactFacts.from_json(facts)
    except ValueError as error:
        raise VerificationFailed(f"{name} is not valid: {error}") from error
    for what, here, there in (
        ("id", artifact.id, manifest.provenance.artifact),
        ("runtime", artifact.runtime, execution.runtime),
        ("quantization", artifact.quantization, execution.quantization),
        ("exit_threshold", artifact.exit_threshold, execution.exit_threshold),
        ("is_batch_invariant", artifact.is_batch_invariant, execution.is_batch_invariant),
        ("int8_range", artifact.int8_range, execution.int8_range),
        ("number of segments", len(artifact.segments), execution.n_exits),
        ("input", artifact.input.to_json(), manifest.input.spec.to_json()),
    ):
        if here != there:
            raise VerificationFailed(f"{name} has the {what} {here!r}, and {MANIFEST} has {there!r}")
    for what in ("runtime", "quantization", "threads", "exit_threshold"):
        if variant[what] != getattr(execution, what):
            raise VerificationFailed(
                f"{MANIFEST} has variant.{what} {variant[what]!r} and execution.{what} "
                f"{getattr(execution, what)!r}: expected the same"
            )
    _check_query(manifest)
    _check_segments(artifact, manifest)
    _check_packages(manifest)


def _check_query(manifest: Manifest) -> None:
    """Check that the runtime executes such a query."""
    execution = manifest.execution
    if execution.quantization not in runtime(execution.runtime).quantizations:
        raise VerificationFailed(f"{MANIFEST} has {execution.quantization!r}, which {execution.runtime} cannot execute")
    n_bytes = manifest.variant["batch_size"] * math.prod(manifest.input.shape)
    if n_bytes > _MAX_QUERY_BYTES:
        raise VerificationFailed(f"{MANIFEST} has a batch of {n_bytes:,} bytes: at most {_MAX_QUERY_BYTES:,} are tried")


def _check_packages(manifest: Manifest) -> None:
    """Check that the packages are those that the runtime needs, so that a different version here is noticed."""
    execution = manifest.execution
    needed = sorted(runtime(execution.runtime).requirements(execution.quantization))
    if sorted(execution.packages) != needed:
        raise VerificationFailed(
            f"{MANIFEST} has the packages {', '.join(execution.packages)[:200] or 'none'}: expected those that "
            f"{execution.runtime} needs, {', '.join(needed)}"
        )


def _check_segments(artifact: ArtifactFacts, manifest: Manifest) -> None:
    """Check that the segments are the model's files of the manifest, in order, with the same hashes."""
    plugin = runtime(manifest.execution.runtime)
    expected = [plugin.segment_name(index) for index in range(len(artifact.segments))]
    stated = {name for name in manifest.files if name.startswith(f"{MODEL}/")} - {f"{MODEL}/{FILE_NAME}"}
    if [segment.file for segment in artifact.segments] != expected or stated != {f"{MODEL}/{n}" for n in expected}:
        raise VerificationFailed(f"{MODEL}/{FILE_NAME} and {MANIFEST} do not list the segments {', '.join(expected)}")
    for segment in artifact.segments:
        known = manifest.files[f"{MODEL}/{segment.file}"]
        if (segment.sha256, segment.bytes) != (known.sha256, known.bytes):
            raise VerificationFailed(f"{MODEL}/{segment.file} has another size or SHA-256 in {FILE_NAME}")
