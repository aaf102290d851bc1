"""One measurement: a fresh probe on its own cores, everybody else off them, the result kept beside the artifact."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.files import flush_to_disk, write_json
from explorer.hashing import content_key
from explorer.measure import cores as core_choice
from explorer.measure.child import Child, ChildFailed, Stop
from explorer.measure.cost import Prices
from explorer.measure.metrics import exit_details, metrics
from explorer.records import Measurement, Progress, Stage, Variant
from explorer.runtimes.artifact import Artifact

TIMING_STAGE = "measure"
"""The stage that `probe` tells of: until the next one, whatever runs beside the probe can be felt in its times."""

DEADLINES_S = {"": 120.0, "latency": 300.0, "accuracy": 900.0}
_FACTS = ("cold_start_ms", "peak_memory_mib", "model_memory_mib", "processor_share")


@dataclass(frozen=True, slots=True)
class Validation:
    """The images that a search sees: paths of uint8 [n, c, h, w] and int64 [n] `.npy` files, and their fingerprint."""

    images: Path
    labels: Path
    fingerprint: str
    n_classes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What a probe found. `details` is JSON-ready; its `processor_share` is that of the timed thread, 1 undisturbed."""

    metrics: Mapping[str, Measurement]
    details: Mapping[str, Any]


def probe(
    artifact: Artifact,
    variant: Variant,
    validation: Validation,
    prices: Prices,
    name: str,
    logits_cache: Path,
    stop: Stop | None = None,
    keep_off: Iterable[int] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
    results: Path | None = None,
) -> tuple[Measured, Stage]:
    """Measure `artifact` as `variant` uses it, into `<name>.json` and `.npz` of `results`.

    `results` is `<artifact>/measurements` unless another folder is named. `keep_off` are the processes that must leave
    the measuring cores meanwhile; this one is always among them. Logits of the same files on the same images are
    computed once and kept in `logits_cache`. Raises ChildFailed, Interrupted, OSError.
    """
    started = time.perf_counter()
    cores = core_choice.measuring(core_choice.available(), variant.threads)
    known = known_logits(artifact, variant, validation.fingerprint, logits_cache)
    folder = results or artifact.folder / "measurements"
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}.npz.tmp"
    try:
        with (
            core_choice.kept_free(cores, [os.getpid(), *keep_off]),
            Child("explorer.measure.probe", stop, _threads_environment(variant.threads)) as child,
        ):
            on_progress(Progress(TIMING_STAGE))
            request = _request(child, artifact, variant, validation.images, known, draft)
            facts = _checked(child.ask({**request, "cores": cores, "is_timed": True}, DEADLINES_S))
        raw = _read_raw(draft)
        labels = np.load(validation.labels)
        numbers = metrics(raw, facts, labels, artifact, variant, prices)
        exits = exit_details(raw, labels, artifact, validation.n_classes)
        details = {
            **exits,
            "cores": cores,
            "modules": facts["modules"],
            "has_known_logits": known.is_file(),
            "processor_share": facts["processor_share"],
        }
        _keep(draft, folder / name, variant, Measured(numbers, details))
    finally:
        draft.unlink(missing_ok=True)
    if not known.is_file():
        keep_logits(known, raw["logits"])
    stage = Stage(TIMING_STAGE, time.perf_counter() - started)
    return Measured(numbers, details), stage


def predict(
    artifact: Artifact, variant: Variant, images: Path, known: Path | None, stop: Stop | None = None
) -> tuple[Mapping[str, NDArray[Any]], list[str]]:
    """What a fresh probe that times nothing, on every core, makes of `images` (uint8 [n, c, h, w], .npy).

    Returns logits [e, n, k], exits [n] and predictions [n], and which of torch, torchao and onnxruntime it loaded. It
    takes the logits from `known` where that exists. Raises ChildFailed, Interrupted, OSError.
    """
    # More threads than cores would change no logit, and a stranger's variant may ask for a million.
    variant = replace(variant, threads=min(variant.threads, len(core_choice.available())))
    with (
        tempfile.TemporaryDirectory() as place,
        Child("explorer.measure.probe", stop, _threads_environment(variant.threads)) as child,
    ):
        draft = Path(place, "raw.npz")
        request = _request(child, artifact, variant, images, known, draft)
        facts = child.ask({**request, "cores": request["all_cores"], "is_timed": False}, DEADLINES_S)
        return _read_raw(draft), list(facts["modules"])


def _request(
    child: Child, artifact: Artifact, variant: Variant, images: Path, known: Path | None, raw: Path
) -> dict[str, Any]:
    """What `measure.probe` is asked in any case; its raw results go to `raw`."""
    return {
        "artifact": str(artifact.folder),
        "images": str(images),
        "batch_size": variant.batch_size,
        "threads": variant.threads,
        "all_cores": core_choice.available(),
        "known_logits": str(known) if known is not None and known.is_file() else None,
        "raw": str(raw),
        "started_ns": child.started_ns,
    }


def _threads_environment(threads: int) -> dict[str, str]:
    return {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def known_logits(artifact: Artifact, variant: Variant, fingerprint: str, cache: Path) -> Path:
    """The file for the logits of every exit on the images of that fingerprint, named by whatever determines them.

    That is the artifact's files and the images, and the batch where it matters.
    """
    segments = [segment["sha256"] for segment in artifact.facts["segments"]]
    batch = None if artifact.facts["is_batch_invariant"] else variant.batch_size
    return cache / f"{content_key({'segments': segments, 'images': fingerprint, 'batch_size': batch})}.npz"


def _checked(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in _FACTS:
        value = facts.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise ChildFailed(
                "bad result", f"the probe says {name} is {value!r}, and a number of at least 0 was expected"
            )
    return facts


def _read_raw(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(file) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise ChildFailed("bad result", f"the probe's raw samples do not read: {error}") from error


def _keep(draft: Path, target: Path, variant: Variant, measured: Measured) -> None:
    """The raw samples first, then the JSON that says that they are whole."""
    flush_to_disk(draft)
    draft.replace(target.with_suffix(".npz"))
    numbers = {name: measurement.to_json() for name, measurement in measured.metrics.items()}
    write_json(
        target.with_suffix(".json"),
        {"variant": variant.to_json(), "metrics": numbers, "details": dict(measured.details)},
    )


def keep_logits(file: Path, logits: NDArray[Any]) -> None:
    """Write the logits of every exit, whole or not at all. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.stem}.{os.getpid()}.npz")
    np.savez(draft, logits=logits)
    draft.replace(file)
