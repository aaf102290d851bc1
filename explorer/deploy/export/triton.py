"""Model repositories for Triton Inference Server: config.pbtxt, labels, and version 1 of the ONNX model."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.deploy.export.onnx_file import FILE_NAME, onnx_model
from explorer.deploy.export.plan import ExportPlan
from explorer.deploy.manifest import Manifest
from explorer.runtimes.onnx_compose import EXIT, Tensor, inputs_and_outputs

CONFIG = "config.pbtxt"
LABELS = "labels.txt"
_MAX_BATCH = 64
"""The largest batch that Triton may form, unless the measured batch is larger."""

_TYPES = {"uint8": "TYPE_UINT8", "int32": "TYPE_INT32", "int64": "TYPE_INT64", "float32": "TYPE_FP32"}


def write_triton(folder: Path, plan: ExportPlan) -> None:
    """Write `folder`/<name> for `tritonserver --model-repository folder`. Raises OSError, UsageError."""
    manifest = plan.manifest
    model = onnx_model(plan.artifact, manifest)
    target = folder / manifest.name
    (target / "1").mkdir(parents=True)
    (target / "1" / FILE_NAME).write_bytes(model)
    (target / CONFIG).write_text(config(model, manifest), encoding="utf-8")
    if names := manifest.labels:
        lines = (f"{' '.join(name.splitlines())}\n" for name in names)
        (target / LABELS).write_text("".join(lines), encoding="utf-8")


def config(model: bytes, manifest: Manifest) -> str:
    """Return config.pbtxt of the ONNX `model`.

    Triton batches requests only where an output does not depend on its batch and the model takes any batch size; the
    dimensions are then given without the batch.
    """
    inputs, outputs = inputs_and_outputs(model)
    is_batching = manifest.execution.is_batch_invariant and inputs[0].shape[0] is None
    max_batch = max(_MAX_BATCH, manifest.variant["batch_size"]) if is_batching else 0
    threads = manifest.execution.threads
    lines = [
        f"name: {_text(manifest.name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch}",
        *(["dynamic_batching { }"] if is_batching else [f"# {line}" for line in _why_no_batching(manifest)]),
        *(_tensor("input", tensor, is_batching) for tensor in inputs),
        *(_tensor("output", one, is_batching, bool(manifest.labels) and one.name != EXIT) for one in outputs),
        "instance_group [ { count: 1 kind: KIND_CPU } ]",
        *(
            f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
            for key, value in (("intra_op_thread_count", threads), ("inter_op_thread_count", 1))
        ),
    ]
    return "".join(f"{line}\n" for line in lines)


def _why_no_batching(manifest: Manifest) -> list[str]:
    if manifest.execution.is_staged:
        return ["One example a request: how many segments run differs from example to example."]
    return [
        "Requests are not put together: an output depends on the other inputs in its batch.",
        f"The quality was measured with a batch of {manifest.variant['batch_size']}.",
    ]


def _tensor(field: str, tensor: Tensor, is_batching: bool, has_labels: bool = False) -> str:
    """Return the line of an input or output. With labels, clients may ask for elements of an output by name."""
    shape = tensor.shape[1:] if is_batching else tensor.shape
    dims = ", ".join("-1" if length is None else str(length) for length in shape)
    labels = f" label_filename: {_text(LABELS)}" if has_labels else ""
    return f"{field} [ {{ name: {_text(tensor.name)} data_type: {_TYPES[tensor.dtype]} dims: [ {dims} ]{labels} }} ]"


def _text(value: str) -> str:
    """Return a string of the protobuf text format, whose escapes are also those of JSON."""
    return json.dumps(value, ensure_ascii=False)
