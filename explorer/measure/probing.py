"""One measurement: a fresh probe on its own cores, everybody else off them, the result kept beside the artifact."""

from __future__ import annotations

import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.environment import usable_cores
from explorer.files import flush_to_disk, scratch_folder, write_json
from explorer.measure import cores as core_choice
from explorer.measure.child import Child, ChildFailed, Stop
from explorer.measure.correction import Reference
from explorer.measure.cost import Prices
from explorer.measure.known_logits import are_whole, keep_logits, known_logits
from explorer.measure.results import Measured, check_raw, measured
from explorer.measure.timing import FULL, QUARTER
from explorer.records import Measurement, Progress, Stage, Variant
from explorer.runtimes.artifact import Artifact

TIMING_STAGE = "measure"
"""The stage that `probe` tells of: until the next one, whatever runs beside the probe can be felt in its times."""

DEADLINES_S = {"": 120.0, "warm-up": 300.0, "timing": 300.0, "accuracy": 900.0}
_UNDISTURBED = ("warm-up", "timing")


@dataclass(frozen=True, slots=True)
class Validation:
    """The images that a search sees: paths of uint8 [n, c, h, w] and int64 [n] `.npy` files, and their fingerprint."""

    images: Path
    labels: Path
    fingerprint: str
    n_classes: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is timed in turn with every candidate: an artifact's folder, and the times that all others are related to.

    `folder` None: there is only the pulse. `reference` None: there is none yet, and the times of this measurement may
    become it.
    """

    folder: Path | None
    reference: Reference | None = None


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
    anchor: Anchor | None = None,
    is_worth_more: Callable[[Mapping[str, Measurement]], bool] | None = None,
) -> tuple[Measured, Stage]:
    """Measure `artifact` as `variant` uses it, into `<name>.json` and `.npz` of `results`.

    `results` is `<artifact>/measurements` unless another folder is named. `keep_off` are the processes that must leave
    the measuring cores meanwhile; this one is always among them. Logits of the same files on the same images are
    computed once and kept in `logits_cache`. With `anchor` the times are corrected. With `is_worth_more` a quarter of
    the timing budget comes first, and the rest when that says so of the metrics so far. Raises ChildFailed,
    Interrupted, OSError.
    """
    started = time.perf_counter()
    available = core_choice.available()  # before this process, too, has left the measuring ones
    cores = _measuring_cores(available, variant.threads)
    known = known_logits(artifact, variant, validation.fingerprint, logits_cache)
    folder = results or artifact.folder / "measurements"
    folder.mkdir(exist_ok=True)
    draft = folder / f".{name}.npz.tmp"
    labels = np.load(validation.labels)
    has_known_logits = are_whole(known, artifact.n_exits, len(labels))
    try:
        with (
            core_choice.kept_free(cores, [os.getpid(), *keep_off]),
            Child("explorer.measure.probe", stop, _threads_environment(variant.threads), _UNDISTURBED) as child,
        ):
            core_choice.move(child.process.pid, cores)  # its start belongs to the cold start: away from everybody else
            on_progress(Progress(TIMING_STAGE))
            request = _request(
                child, artifact, variant, validation.images, known if has_known_logits else None, draft, available
            ) | {
                "cores": cores,
                "is_timed": True,
                "anchor": None if anchor is None or anchor.folder is None else str(anchor.folder),
            }

            def ask(is_whole: bool) -> tuple[Measured, Mapping[str, NDArray[Any]]]:
                budget = asdict(FULL if is_whole else QUARTER)
                facts = {**child.ask({**request, "budget": budget}, DEADLINES_S), "is_whole": is_whole, "cores": cores}
                reference = None if anchor is None else anchor.reference
                raw = read_raw(draft)
                return measured(raw, facts, labels, artifact, variant, prices, validation.n_classes, reference)

            made, raw = ask(is_worth_more is None)
            if is_worth_more is not None and not made.invalid and is_worth_more(made.metrics):
                made, raw = ask(True)
        made = replace(made, details={**made.details, "has_known_logits": has_known_logits})
        _keep(draft, raw, folder / name, variant, made)
    finally:
        draft.unlink(missing_ok=True)
    if not has_known_logits:
        keep_logits(known, raw["logits"])
    return made, Stage(TIMING_STAGE, time.perf_counter() - started)


def _measuring_cores(available: list[int], threads: int) -> list[int]:
    """Those of `available`. Raises ChildFailed where there are fewer than threads, or no quota pays for so many."""
    try:
        cores = core_choice.measuring(available, threads)
    except ValueError as error:
        raise ChildFailed("too few cores", str(error)) from error
    if threads > (n := usable_cores()):
        raise ChildFailed("too few cores", f"{threads} threads need as many cores, and a quota pays for {n} at once")
    return cores


def predict(
    artifact: Artifact, variant: Variant, images: Path, known: Path | None, stop: Stop | None = None
) -> tuple[Mapping[str, NDArray[Any]], list[str]]:
    """What a fresh probe that times nothing, on every core, makes of `images` (uint8 [n, c, h, w], .npy).

    Returns logits [e, n, k], exits [n] and predictions [n], and which of torch, torchao and onnxruntime it loaded. It
    takes the logits from the file `known`, unless that is None. Raises ChildFailed, Interrupted, OSError.
    """
    # More threads than cores would change no logit, and a stranger's variant may ask for a million.
    available = core_choice.available()
    variant = replace(variant, threads=min(variant.threads, len(available)))
    with (
        scratch_folder() as place,
        Child("explorer.measure.probe", stop, _threads_environment(variant.threads)) as child,
    ):
        draft = Path(place, "raw.npz")
        request = _request(child, artifact, variant, images, known, draft, available)
        facts = child.ask({**request, "cores": available, "is_timed": False}, DEADLINES_S)
        raw = read_raw(draft)
        check_raw(raw, {"e": artifact.n_exits}, ("logits", "exits", "predictions"))
        if not isinstance(facts.get("modules"), list):
            raise ChildFailed("bad result", "the probe does not say which modules it loaded")
        return raw, list(facts["modules"])


def _request(
    child: Child,
    artifact: Artifact,
    variant: Variant,
    images: Path,
    known: Path | None,
    raw: Path,
    all_cores: list[int],
) -> dict[str, Any]:
    """What `measure.probe` is asked in any case; its raw results go to `raw`."""
    return {
        "artifact": str(artifact.folder),
        "images": str(images),
        "batch_size": variant.batch_size,
        "threads": variant.threads,
        "all_cores": all_cores,
        "known_logits": None if known is None else str(known),
        "raw": str(raw),
        "started_ns": child.started_ns,
    }


def _threads_environment(threads: int) -> dict[str, str]:
    return {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def read_raw(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays that a probe has written. Raises ChildFailed when they do not read."""
    try:
        with file.open("rb") as content, np.load(content) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ChildFailed("bad result", f"the probe's raw samples do not read: {error}") from error


def _keep(draft: Path, raw: Mapping[str, NDArray[Any]], target: Path, variant: Variant, made: Measured) -> None:
    """The raw samples first, then the JSON that says that they are whole."""
    with draft.open("wb") as file:
        np.savez(file, **raw)  # type: ignore[arg-type]
    flush_to_disk(draft)
    draft.replace(target.with_suffix(".npz"))
    numbers = {name: measurement.to_json() for name, measurement in made.metrics.items()}
    write_json(
        target.with_suffix(".json"),
        {
            "variant": variant.to_json(),
            "metrics": numbers,
            "details": dict(made.details),
            "invalid": list(made.invalid),
        },
    )
