"""The samples of a bundle: read without unpickling, in exactly the stated shapes, and reproduced by its model."""

from __future__ import annotations

import ast
import io
import math
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.deploy.manifest import SAMPLES, Manifest
from explorer.deploy.verify.bundle import Bundle
from explorer.deploy.verify.report import Row, unchecked
from explorer.errors import VerificationFailed
from explorer.measure.quality_pass import QualityPass, run_quality_pass
from explorer.runtimes.staged import exits_taken
from explorer.system.worker_process import Stop, WorkerFailed
from explorer.tasks.task import Examples, Task, task_named

_MAX_BYTES = 2**30
# NumPy writes 128 for a plain array.
_MAX_HEADER_BYTES = 1024
# The archive around the arrays: a directory of millions of names would take gigabytes to read.
_MAX_FRAME_BYTES = 2**16
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, SyntaxError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SampleArrays:
    """Inputs [n, ...] and targets [n, ...]; measured outputs float32 [e, n, k] of every exit, the exits taken [n], and
    the answers [n, k], the outputs there.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    outputs: NDArray[np.float32]
    exits: NDArray[np.int64]
    answers: NDArray[np.float32]

    def first(self, n: int) -> SampleArrays:
        """Return the first `n` examples with their outputs."""
        return SampleArrays(self.inputs[:n], self.targets[:n], self.outputs[:, :n], self.exits[:n], self.answers[:n])

    def save(self, folder: Path, bundle: Bundle) -> Examples:
        """Write inputs and targets of that bundle's task as .npy files into `folder`, for a probe. Raises OSError."""
        inputs, targets = folder / "sample_inputs.npy", folder / "sample_targets.npy"
        np.save(inputs, self.inputs)
        np.save(targets, self.targets)
        return Examples(inputs, targets, SAMPLES, bundle.task.name, bundle.facts)


def read_samples(content: bytes, manifest: Manifest) -> SampleArrays:
    """Return the arrays of samples.npz. Raises VerificationFailed for anything but what the manifest states."""
    target = task_named(manifest.task.name).target(manifest.task.facts)
    n, (n_outputs,) = manifest.samples.n, manifest.output.shape
    shapes = {
        "inputs": (manifest.input.dtype, (n, *manifest.input.shape)),
        "targets": (target.dtype, (n, *target.shape)),
        "outputs": ("float32", (manifest.execution.n_exits, n, n_outputs)),
        "exits": ("int64", (n,)),
        "answers": ("float32", (n, n_outputs)),
    }
    expected = {name: (np.dtype(dtype).newbyteorder("<").str, shape) for name, (dtype, shape) in shapes.items()}
    total = sum(_n_bytes(*facts) for facts in expected.values())
    if len(content) > total + _MAX_FRAME_BYTES:
        raise VerificationFailed(f"{SAMPLES} has {len(content):,} bytes: {total:,} of values are expected")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = sorted(archive.namelist())
            if found != sorted(f"{name}.npy" for name in expected):
                raise VerificationFailed(f"{SAMPLES} holds {str(found)[:200]}: expected {', '.join(expected)}")
            arrays = [_member(archive, name, *facts) for name, facts in expected.items()]
    except _UNREADABLE as error:
        raise VerificationFailed(f"{SAMPLES} does not read: {error}") from error
    samples = SampleArrays(*arrays)
    _check_values(samples, manifest)
    return samples


def _member(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return one array; its sizes are checked before any byte is decompressed. Raises one of _UNREADABLE."""
    info = archive.getinfo(f"{name}.npy")
    n_bytes = _n_bytes(dtype, shape)
    if n_bytes > _MAX_BYTES or not n_bytes < info.file_size <= n_bytes + _MAX_HEADER_BYTES:
        raise ValueError(f"{name} has {info.file_size:,} bytes, and {n_bytes:,} of values are expected")
    content = archive.read(info)
    start = info.file_size - n_bytes
    described = _header(name, content[:start])
    if described != {"descr": dtype, "fortran_order": False, "shape": shape}:
        raise ValueError(f"{name} is {described}, expected {np.dtype(dtype)} of the shape {list(shape)}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _n_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _header(name: str, content: bytes) -> Any:
    """Return the header of a .npy file, evaluated as a literal, so that no object is constructed."""
    if content[:8] != b"\x93NUMPY\x01\x00" or int.from_bytes(content[8:10], "little") != len(content) - 10:
        raise ValueError(f"{name} is not such an array as NumPy writes it")
    return ast.literal_eval(content[10:].decode("latin-1").strip())


def _check_values(samples: SampleArrays, manifest: Manifest) -> None:
    """Check the arrays against each other and against the manifest."""
    task, n_exits = task_named(manifest.task.name), manifest.execution.n_exits
    try:
        task.check(manifest.task.facts, samples.targets)
    except ValueError as error:
        raise VerificationFailed(f"{SAMPLES} has {error}") from error
    if ((samples.exits < 0) | (samples.exits >= n_exits)).any():
        raise VerificationFailed(f"{SAMPLES} has exits that are not among 0 to {n_exits - 1}")
    for name in (field.name for field in fields(samples)):
        if not np.isfinite(getattr(samples, name)).all():
            raise VerificationFailed(f"{SAMPLES} has {name} that are not finite numbers")
    # In a batch of examples that depend on each other, those that stay are executed without those that left.
    if manifest.execution.is_batch_invariant or manifest.variant["batch_size"] == 1:
        exits = exits_taken(samples.outputs, manifest.execution.exit_threshold, task.confidence)
        decided, answered = (task.predictions(one) for one in (at_exits(samples.outputs, exits), samples.answers))
        if (exits != samples.exits).any() or (decided != answered).any():
            raise VerificationFailed(f"{SAMPLES} has exits or answers that are not those of its own outputs")


def sample_outputs(bundle: Bundle) -> str:
    """Return the row name of the outputs on the samples."""
    return f"sample {bundle.task.output_noun[0]}"


def at_exits(outputs: NDArray[Any], exits: NDArray[np.int64]) -> NDArray[Any]:
    """Return the outputs [n, k] at the exit that each example took, of outputs [e, n, k] and exits [n]."""
    return np.asarray(np.take_along_axis(outputs, exits[None, :, None], axis=0)[0])


def reproduced(bundle: Bundle, samples: SampleArrays, folder: Path, stop: Stop | None) -> list[Row]:
    """Return rows for the runtime, its outputs, and the exits and decisions that follow. Files go to `folder`.

    Raises Interrupted, OSError.
    """
    execution, batch, outputs = bundle.manifest.execution, bundle.batch_size, bundle.task.output_noun[0]
    promised, (one, several) = f"{execution.runtime}, {execution.provider}", bundle.task.noun
    whole = samples.first(len(samples.inputs) // batch * batch)
    if not len(whole.inputs):
        found = f"{SAMPLES} has {len(samples.inputs)} {several}"
        why = f"the {outputs} of one {one} depend on its batch of {batch}, and {found}"
        return [unchecked("samples", "the outputs that were measured", why)]
    data = whole.save(folder, bundle)
    try:
        made = run_quality_pass(bundle.artifact, bundle.variant, data, None, stop)
    except WorkerFailed as failed:
        return [Row("runtime", promised, f"the model does not run: {failed.reason}", "fails")]
    if made.outputs.shape != whole.outputs.shape:
        found = f"{outputs} {list(made.outputs.shape)}, expected {list(whole.outputs.shape)}"
        return [Row("samples", f"what is in {SAMPLES}", found, "fails")]
    return [_runtime(bundle, promised, made), _outputs(bundle, whole, made), _decided(bundle, whole, made)]


def _runtime(bundle: Bundle, promised: str, made: QualityPass) -> Row:
    """Compare the provider and the loaded modules: other modules would count as memory."""
    plugin = bundle.runtime
    found = f"{plugin.name}, {plugin.provider}; loaded: {', '.join(made.modules) or 'nothing'}"
    is_alone = set(made.modules) <= set(plugin.modules) and plugin.modules[0] in made.modules
    is_provider = bundle.manifest.execution.provider == plugin.provider
    return Row("runtime", promised, found, "holds" if is_alone and is_provider else "fails")


def _outputs(bundle: Bundle, samples: SampleArrays, made: QualityPass) -> Row:
    difference = float(abs(made.outputs - samples.outputs).max()) / _scale(samples.outputs)
    promised = f"within {bundle.tolerance:g} of those measured, relative to the largest"
    found = f"largest difference {difference:.2g}, on {len(samples.inputs)} {bundle.task.noun[1]}"
    return Row(sample_outputs(bundle), promised, found, "holds" if difference <= bundle.tolerance else "fails")


def _decided(bundle: Bundle, samples: SampleArrays, made: QualityPass) -> Row:
    """Compare exits and decisions where no outputs within the tolerance change them."""
    task = bundle.task
    is_settled = settled(bundle, samples.outputs, samples.exits, bundle.tolerance)
    answers = made.answers
    is_equal = (made.exits == samples.exits) & (task.predictions(answers) == task.predictions(samples.answers))
    n, n_equal, n_wrong = len(is_equal), int(is_equal.sum()), int((is_settled & ~is_equal).sum())
    found = f"{n_equal} of {n} the same"
    if n_equal < n - n_wrong:
        found += f", {n - n_wrong - n_equal} too close to call"
    return Row(
        f"sample exits and {task.output_noun[1]}",
        f"those of {n} {task.noun[1]}",
        found,
        "fails" if n_wrong else "holds",
    )


def settled(bundle: Bundle, outputs: NDArray[Any], exits: NDArray[np.int64], tolerance: float) -> NDArray[np.bool_]:
    """Return for examples [n] whether no outputs within `tolerance`, relative to the largest, change exit or decision.

    outputs [e, n, k] of every exit, exits [n]. In a batch of examples that depend on each other, one that left
    elsewhere changes the outputs of those that stayed, and these outputs of later exits are of batches that none had
    left. Examples after the last whole batch are not settled.
    """
    threshold, batch = bundle.manifest.execution.exit_threshold, bundle.batch_size
    is_settled = is_robust(bundle.task, outputs, exits, threshold, tolerance * _scale(outputs))
    if batch > 1:
        whole = len(exits) // batch * batch
        together = np.repeat(is_settled[:whole].reshape(-1, batch).all(axis=1), batch) & (exits[:whole] == 0)
        is_settled = np.concatenate([together, np.zeros(len(exits) - whole, dtype=np.bool_)])
    return is_settled


def is_robust(
    task: Task, outputs: NDArray[Any], exits: NDArray[np.int64], threshold: float, shift: float
) -> NDArray[np.bool_]:
    """Return whether examples [n] keep exit and decision when no output moves by more than `shift`.

    outputs [e, n, k] of every exit, exits [n], `threshold` in (0, 1]: the confidence at which an example leaves.
    """
    reach = math.inf if threshold >= 1.0 else threshold
    is_firm = task.settled(at_exits(outputs, exits), shift)
    for index, made in enumerate(outputs[:-1]):
        least, most = task.confidence_within(made, shift)
        is_firm &= np.where(exits > index, most < reach, (exits < index) | (least >= reach))
    return is_firm


def _scale(outputs: NDArray[Any]) -> float:
    return max(1.0, float(abs(outputs).max()))
