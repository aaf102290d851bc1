"""artifact.json of a bundle against its manifest: the two must say the same of one model."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from explorer.deploy.manifest import MANIFEST, MODEL, Count, Manifest, Sha256
from explorer.errors import VerificationFailed
from explorer.runtimes.artifact import FILE_NAME
from explorer.runtimes.registry import RUNTIMES, runtime
from explorer.runtimes.safety import segment_suffix

_MAX_QUERY_BYTES = 2**30


class _Facts(BaseModel):
    """Strict about what is used; a later version may have written more."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class _Segment(_Facts):
    file: str
    sha256: Sha256
    bytes: Count
    mega_macs: Annotated[float, Field(ge=0)]


class _Input(_Facts):
    name: str
    dtype: Literal["uint8"]
    shape: Annotated[list[int], Field(min_length=3, max_length=3)]


class _ArtifactFacts(_Facts):
    format: Literal[1]
    id: str
    runtime: str
    quantization: str
    exit_threshold: float
    is_batch_invariant: bool
    n_parameters: Count
    input: _Input
    segments: Annotated[list[_Segment], Field(min_length=1, max_length=1000)]


def check_artifact(facts: dict[str, Any], manifest: Manifest) -> None:
    """Raises VerificationFailed where `facts`, artifact.json, and the manifest differ, or the manifest with itself."""
    name = f"{MODEL}/{FILE_NAME}"
    try:
        artifact = _ArtifactFacts.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise VerificationFailed(f"{name} is not valid: {field}: {first['msg']}") from error
    execution = manifest.execution
    for what, here, there in (
        ("id", artifact.id, manifest.provenance.artifact),
        ("runtime", artifact.runtime, execution.runtime),
        ("quantization", artifact.quantization, execution.quantization),
        ("exit_threshold", artifact.exit_threshold, execution.exit_threshold),
        ("is_batch_invariant", artifact.is_batch_invariant, execution.is_batch_invariant),
        ("number of segments", len(artifact.segments), execution.n_exits),
        ("input's name", artifact.input.name, manifest.input.name),
        ("input's shape", tuple(artifact.input.shape), manifest.input.shape),
    ):
        if here != there:
            raise VerificationFailed(f"{name} has the {what} {here!r}, and {MANIFEST} has {there!r}")
    _check_execution(manifest)
    _check_segments(artifact, manifest)


def _check_execution(manifest: Manifest) -> None:
    """The manifest's own parts say the same, and its variant can be run."""
    variant, execution = manifest.variant, manifest.execution
    for what in ("runtime", "quantization", "threads", "exit_threshold"):
        if getattr(variant, what) != getattr(execution, what):
            raise VerificationFailed(
                f"{MANIFEST} has variant.{what} {getattr(variant, what)!r} and execution.{what} "
                f"{getattr(execution, what)!r}: expected the same"
            )
    if execution.runtime not in RUNTIMES:
        raise VerificationFailed(f"{MANIFEST} has the runtime {execution.runtime!r}: known are {', '.join(RUNTIMES)}")
    if execution.quantization not in runtime(execution.runtime).quantizations:
        raise VerificationFailed(f"{MANIFEST} has {execution.quantization!r}, which {execution.runtime} cannot execute")
    n_bytes = variant.batch_size * math.prod(manifest.input.shape)
    if n_bytes > _MAX_QUERY_BYTES:
        raise VerificationFailed(f"{MANIFEST} has a batch of {n_bytes:,} bytes: at most {_MAX_QUERY_BYTES:,} are tried")


def _check_segments(artifact: _ArtifactFacts, manifest: Manifest) -> None:
    """The segments are the model's files of the manifest, in order, each by the same hash."""
    suffix = segment_suffix(manifest.execution.runtime)
    expected = [f"segment_{index}{suffix}" for index in range(len(artifact.segments))]
    stated = {name for name in manifest.files if name.startswith(f"{MODEL}/")} - {f"{MODEL}/{FILE_NAME}"}
    if [segment.file for segment in artifact.segments] != expected or stated != {f"{MODEL}/{n}" for n in expected}:
        raise VerificationFailed(f"{MODEL}/{FILE_NAME} and {MANIFEST} do not list the segments {', '.join(expected)}")
    for segment in artifact.segments:
        known = manifest.files[f"{MODEL}/{segment.file}"]
        if (segment.sha256, segment.bytes) != (known.sha256, known.bytes):
            raise VerificationFailed(f"{MODEL}/{segment.file} has another size or SHA-256 in {FILE_NAME}")
