"""The anchor of a study: the baseline network in ONNX Runtime, float32, one thread, and the time that it once took.

Every measurement times it in turn with the candidate, and relates the candidate's times to the anchor's reference: its
time in the study's first valid measurement, which stays for the study's life.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from explorer.files import write_json
from explorer.records import Variant
from explorer.space.values import SearchSpace

RUNTIME = "onnxruntime"
_NAME = "anchor.json"


def anchor_variant(space: SearchSpace) -> Variant:
    """What the anchor is built from."""
    return replace(space.baseline(), runtime=RUNTIME, quantization="none", exit_threshold=1.0, batch_size=1, threads=1)


def read_reference(folder: Path, artifact: str) -> float | None:
    """The reference time of that anchor in ms, as the study in `folder` keeps it; None when there is none yet."""
    try:
        values = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        reference = float(values["reference_ms"]) if values["artifact"] == artifact else math.nan
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return reference if math.isfinite(reference) and reference > 0 else None


def keep_reference(folder: Path, artifact: str, reference_ms: float) -> None:
    """Keep the reference time of that anchor. Raises OSError."""
    write_json(folder / _NAME, {"artifact": artifact, "reference_ms": reference_ms})


def copy_reference(old_folder: Path, new_folder: Path) -> None:
    """Take over the reference of the study whose trials another one adopts, unless that has one. Raises OSError."""
    if (old_folder / _NAME).is_file() and not (new_folder / _NAME).exists():
        write_json(new_folder / _NAME, json.loads((old_folder / _NAME).read_text(encoding="utf-8")))
