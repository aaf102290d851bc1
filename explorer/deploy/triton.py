"""A model repository for Triton Inference Server: config.pbtxt, the labels, and version 1 of the ONNX model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from explorer.deploy.manifest import Manifest
from explorer.deploy.onnx_file import FILE_NAME, onnx_model
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.onnx_compose import EXIT, Tensor, inputs_and_outputs

CONFIG = "config.pbtxt"
LABELS = "labels.txt"
_MAX_BATCH = 64
"""The most images that Triton may put together; or as many as the measured batch had, where that is more."""

_TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "int64": "TYPE_INT64"}


def write_triton(folder: Path, artifact: Artifact, manifest: Manifest) -> None:
    """Write `folder`/<name>: `tritonserver --model-repository folder` serves it. Raises OSError, UsageError."""
    model = onnx_model(artifact, manifest)
    place = folder / manifest.name
    (place / "1").mkdir(parents=True)
    (place / "1" / FILE_NAME).write_bytes(model)
    (place / CONFIG).write_text(config(model, manifest), encoding="utf-8")
    (place / LABELS).write_text(_labels(manifest), encoding="utf-8")


def config(model: bytes, manifest: Manifest) -> str:
    """config.pbtxt of the ONNX `model`.

    Triton batches requests only where an image's logits do not depend on its neighbors and the model takes any batch:
    then the dimensions that it is told leave the batch out.
    """
    inputs, outputs = inputs_and_outputs(model)
    is_batching = manifest.execution.is_batch_invariant and inputs[0].shape[0] is None
    max_batch = max(_MAX_BATCH, manifest.variant.batch_size) if is_batching else 0
    threads = manifest.execution.threads
    lines = [
        f"name: {_text(manifest.name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch}",
        *(["dynamic_batching { }"] if is_batching else [f"# {line}" for line in _why_no_batching(manifest)]),
        *_tensors("input", inputs, is_batching),
        *_tensors("output", outputs, is_batching),
        "instance_group [ { count: 1 kind: KIND_CPU } ]",
        *(
            f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
            for key, value in (("intra_op_thread_count", threads), ("inter_op_thread_count", 1))
        ),
    ]
    return "".join(f"{line}\n" for line in lines)


def _why_no_batching(manifest: Manifest) -> list[str]:
    if manifest.execution.n_exits > 1:
        return ["One image a request: an early exit is decided for each image alone."]
    return [
        "Requests are not put together: an image's logits depend on the images in its batch.",
        f"The accuracy was measured with a batch of {manifest.variant.batch_size}.",
    ]


def _tensors(field: str, tensors: Sequence[Tensor], is_batching: bool) -> list[str]:
    """The inputs or the outputs. Logits get the labels, so that a client may ask for classes by name."""
    lines = []
    for tensor in tensors:
        shape = tensor.shape[1:] if is_batching else tensor.shape
        dims = ", ".join("-1" if length is None else str(length) for length in shape)
        labels = f" label_filename: {_text(LABELS)}" if field == "output" and tensor.name != EXIT else ""
        kind = _TYPES[tensor.dtype]
        lines.append(f"{field} [ {{ name: {_text(tensor.name)} data_type: {kind} dims: [ {dims} ]{labels} }} ]")
    return lines


def _labels(manifest: Manifest) -> str:
    """A line a class, in the order of the logits; a name of several lines becomes one."""
    return "".join(f"{' '.join(name.splitlines())}\n" for name in manifest.output.classes)


def _text(value: str) -> str:
    """A string of the protobuf text format, whose escapes for quotes, backslashes and control characters are JSON's."""
    return json.dumps(value, ensure_ascii=False)
