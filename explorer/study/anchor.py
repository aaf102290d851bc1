"""The anchor of a study: the baseline network in ONNX Runtime, float32, one thread, and the reference of all times.

Every measurement but the baseline's first one, which does not wait for it, times it in turn with the candidate, and
relates the candidate's times to a reference: the times that anchor and pulse took in the study's first valid
measurement that had them, which stay for the study's life.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

from explorer.files import write_json
from explorer.measure.correction import Reference
from explorer.plain_file import read_plain_text
from explorer.records import Variant
from explorer.space.values import SearchSpace
from explorer.study.sound import json_value

RUNTIME = "onnxruntime"
_NAME = "anchor.json"


def anchor_variant(space: SearchSpace) -> Variant:
    """What the anchor is built from."""
    return replace(space.baseline(), runtime=RUNTIME, quantization="none", exit_threshold=1.0, batch_size=1, threads=1)


def read_reference(folder: Path, artifact: str | None) -> Reference | None:
    """The reference that the study in `folder` keeps; None when there is none yet, or it is of another anchor.

    What was kept before there was an anchor is the pulse's alone.
    """
    kept = _kept(folder)
    return None if kept is None or kept[0] not in (None, artifact) else kept[1]


def keep_reference(folder: Path, artifact: str | None, reference: Reference) -> None:
    """Keep the reference with that anchor, or without one. Raises OSError."""
    write_json(folder / _NAME, {"artifact": artifact, **asdict(reference)})


def copy_reference(old_folder: Path, new_folder: Path) -> None:
    """Take over the reference of the study whose trials another one adopts, if that has none. Raises OSError.

    One that does not read is left where it is: that study has none either.
    """
    if not (new_folder / _NAME).exists() and (kept := _kept(old_folder)) is not None:
        keep_reference(new_folder, *kept)


def _kept(folder: Path) -> tuple[str | None, Reference] | None:
    """The artifact of the anchor (None: without one) and the reference; None where there is none that reads."""
    try:
        values = json_value(read_plain_text(folder / _NAME))
        artifact = values["artifact"]
        pulse_ns = float(values["pulse_ns"])
        anchor_ns = None if artifact is None else float(values["anchor_ns"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    is_sound = all(math.isfinite(ns) and ns > 0 for ns in (pulse_ns, anchor_ns) if ns is not None)
    return (artifact, Reference(anchor_ns, pulse_ns)) if is_sound and isinstance(artifact, str | None) else None
