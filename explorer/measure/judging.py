"""Judging: an artifact's accuracy on any labelled images, in a fresh probe that times nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.measure import intervals
from explorer.measure.child import ChildFailed, Stop
from explorer.measure.known_logits import are_whole, keep_logits, known_logits
from explorer.measure.probing import predict
from explorer.records import Measurement, Variant
from explorer.runtimes.artifact import Artifact


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What an artifact made of n images: their share that got the right class, and how each one fared.

    logits       [e, n, k] float32 of every exit, as if no image had left early
    exits        [n], the exit that each image took
    predictions  [n], the class that it got there
    modules      which of torch, torchao and onnxruntime the probe had loaded
    """

    accuracy: Measurement
    logits: NDArray[Any]
    exits: NDArray[np.int64]
    predictions: NDArray[np.int64]
    modules: tuple[str, ...]


def judge(
    artifact: Artifact,
    variant: Variant,
    images: Path,
    labels: Path,
    fingerprint: str,
    logits_cache: Path | None,
    stop: Stop | None = None,
) -> Judged:
    """Classify `images` (uint8 [n, c, h, w], .npy) as `variant` does, on every core, and compare with `labels` ([n]).

    Logits of the same files on images of the same `fingerprint` are computed once and kept in `logits_cache`; None
    computes them in any case. Raises ChildFailed, Interrupted, OSError.
    """
    known = None if logits_cache is None else known_logits(artifact, variant, fingerprint, logits_cache)
    truth = np.load(labels)
    is_known = known is not None and are_whole(known, artifact.n_exits, len(truth))
    raw, modules = predict(artifact, variant, images, known if is_known else None, stop)
    if raw["predictions"].shape != truth.shape:
        shape = raw["predictions"].shape
        raise ChildFailed("bad result", f"the model gave predictions {list(shape)} for {len(truth)} images")
    if known is not None and not is_known:
        keep_logits(known, raw["logits"])
    accuracy = intervals.share(int((raw["predictions"] == truth).sum()), len(truth))
    return Judged(accuracy, raw["logits"], raw["exits"], raw["predictions"], tuple(modules))
