"""The quality pass: run an artifact on examples in a fresh probe that times nothing; and the cache of outputs."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure.results import check_raw
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact
from explorer.runtimes.runtime import runtime
from explorer.system import cores as core_choice
from explorer.system import environment
from explorer.system.files import scratch_folder, write_bytes
from explorer.system.hashing import cache_root, content_key
from explorer.system.worker_process import Stop, WorkerFailed, WorkerProcess
from explorer.tasks.task import Examples, task_named

DEADLINES_S = {"": 120.0, "warm-up": 300.0, "timing": 300.0, "quality": 900.0}
_UNREADABLE = (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True, eq=False)
class QualityPass:
    """Results of an artifact on n examples.

    quality  the task's metrics
    outputs  [e, n, k] float32 of every exit, as if no example had left early
    exits    [n], the exit that each example took
    answers  [n, k], the outputs at that exit
    modules  which of torch, torchao and onnxruntime the probe loaded
    """

    quality: Mapping[str, Measurement]
    outputs: NDArray[Any]
    exits: NDArray[np.int64]
    answers: NDArray[Any]
    modules: tuple[str, ...]


def run_quality_pass(
    artifact: Artifact, variant: Variant, examples: Examples, cache: Path | None, stop: Stop | None = None
) -> QualityPass:
    """Run the examples as `variant` does, on every core, and compare with their targets.

    Outputs of the same files on inputs of the same fingerprint are computed once and stored in the folder `cache`; None
    disables it. Raises WorkerFailed, Interrupted, OSError.
    """
    known = None if cache is None else known_outputs(artifact, variant, examples.fingerprint, cache)
    targets = np.load(examples.targets)
    is_known = known is not None and are_valid_outputs(known, artifact.n_exits, len(targets))
    raw, modules = run_untimed(artifact, variant, examples, known if is_known else None, stop)
    if len(raw["answers"]) != len(targets):
        raise WorkerFailed("bad result", f"the model gave {len(raw['answers'])} answers for {len(targets)} examples")
    if known is not None and not is_known:
        store_outputs(known, raw["outputs"])
    quality = task_named(examples.task).measure(raw["answers"], targets)
    return QualityPass(quality, raw["outputs"], raw["exits"], raw["answers"], modules)


def run_untimed(
    artifact: Artifact, variant: Variant, examples: Examples, known: Path | None, stop: Stop | None = None
) -> tuple[Mapping[str, NDArray[Any]], tuple[str, ...]]:
    """Run the inputs [n, ...] of examples in a fresh probe that times nothing, on every core.

    Returns outputs [e, n, k], exits [n] and answers [n, k], and which of torch, torchao and onnxruntime were loaded.
    Outputs are read from the file `known` unless it is None. Raises WorkerFailed, Interrupted, OSError.
    """
    # More threads than cores change no output, and an untrusted variant may state a million.
    available = core_choice.available()
    variant = variant.replaced(threads=min(variant["threads"], len(available)))
    with scratch_folder() as place, probe_worker(variant["threads"], stop) as worker:
        draft = Path(place, "raw.npz")
        request = {
            **probe_request(worker, artifact, variant, examples, draft),
            "known_outputs": None if known is None else str(known),
            "all_cores": available,
            "cores": available,
            "is_timed": False,
        }
        facts = worker.ask(request, DEADLINES_S)
        raw = read_raw(draft)
        check_raw(raw, {"e": artifact.n_exits})
        if not isinstance(facts.get("modules"), list):
            raise WorkerFailed("bad result", "the probe does not say which modules it loaded")
        return raw, tuple(facts["modules"])


def probe_worker(threads: int, stop: Stop | None, undisturbed: tuple[str, ...] = ()) -> WorkerProcess:
    """Return a fresh probe whose libraries use so many threads; in phases `undisturbed`, this process sleeps."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return WorkerProcess("explorer.measure.probe", stop, dict.fromkeys(names, str(threads)), undisturbed)


def probe_request(
    worker: WorkerProcess, artifact: Artifact, variant: Variant, examples: Examples, raw: Path
) -> dict[str, Any]:
    """Return what every request to `measure.probe` holds; its raw results go to the file `raw`."""
    return {
        "artifact": str(artifact.folder),
        "inputs": str(examples.inputs),
        "task": examples.task,
        "variant": variant.to_json(),
        "raw": str(raw),
        "started_ns": worker.started_ns,
    }


def read_raw(file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays [...] that a probe wrote, by name. Raises WorkerFailed when they cannot be read."""
    try:
        with file.open("rb") as content, np.load(content) as archive:
            return {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        raise WorkerFailed("bad result", f"the probe's raw samples do not read: {error}") from error


def outputs_cache() -> Path:
    """Return the folder of outputs that studies, exports and verifications share."""
    return cache_root() / "outputs"


def known_outputs(artifact: Artifact, variant: Variant, fingerprint: str, cache: Path) -> Path:
    """Return the cache file for the outputs of every exit on the inputs of that fingerprint.

    Its name is the hash of all that determines them: the artifact's files, the runtime's own parameters, the inputs,
    the batch size where it matters, and the processor's instruction sets, which decide a runtime's kernels and whether
    int8 products saturate.
    """
    own = {spec.name: variant[spec.name] for spec in runtime(artifact.facts.runtime).parameters}
    determined_by = {
        "segments": [segment.sha256 for segment in artifact.facts.segments],
        "runtime": own,
        "inputs": fingerprint,
        "batch_size": None if artifact.facts.is_batch_invariant else variant["batch_size"],
        "instructions": environment.processor()["instructions"],
    }
    return cache / f"{content_key(determined_by)}.npz"


def are_valid_outputs(file: Path, n_exits: int, n_examples: int) -> bool:
    """Return whether `file` holds finite outputs [n_exits, n_examples, k]."""
    try:
        with file.open("rb") as content, np.load(content) as archive:
            outputs = archive["outputs"]
    except (*_UNREADABLE, KeyError):
        return False
    is_shaped = outputs.ndim == 3 and outputs.shape[:2] == (n_exits, n_examples) and outputs.dtype.kind == "f"
    return is_shaped and bool(np.isfinite(outputs).all())


def store_outputs(file: Path, outputs: NDArray[Any]) -> None:
    """Write the outputs [e, n, k] of every exit, whole or not at all. Raises OSError."""
    content = io.BytesIO()
    np.savez(content, outputs=outputs)
    write_bytes(file, content.getvalue())
