"""The anchor of a study: the baseline network in ONNX Runtime, float32, one thread, and the reference of all times.

The anchor is timed in turn with every candidate, except in the baseline's first measurement, which does not wait for
it. Candidates' times are related to a reference: the times of anchor and pulse in the study's first valid measurement
that has them, fixed for the study's life.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from explorer.measure.drift_correction import Reference
from explorer.records import Variant
from explorer.space.values import SearchSpace
from explorer.study.store.validation import json_value
from explorer.system.files import read_plain_text, write_json
from explorer.typed_json import from_json

RUNTIME = "onnxruntime"
_NAME = "anchor.json"


@dataclass(frozen=True, slots=True)
class _Stored:
    artifact: str | None
    anchor_ns: float | None
    pulse_ns: float


def anchor_variant(space: SearchSpace) -> Variant:
    """Return the variant from which the anchor is built."""
    return Variant(runtime=RUNTIME)


def read_reference(folder: Path, artifact: str | None) -> Reference | None:
    """Return the reference of the study in `folder`; None when there is none yet, or it is of another anchor.

    A reference stored before there was an anchor has the pulse alone.
    """
    stored = _stored(folder)
    return None if stored is None or stored[0] not in (None, artifact) else stored[1]


def store_reference(folder: Path, artifact: str | None, reference: Reference) -> None:
    """Store the reference with its anchor's artifact, None without one. Raises OSError."""
    write_json(folder / _NAME, {"artifact": artifact, **asdict(reference)})


def copy_reference(old_folder: Path, new_folder: Path) -> None:
    """Copy the reference of a study whose trials another one adopts, if the latter has none. Raises OSError.

    An unreadable reference is not copied.
    """
    if not (new_folder / _NAME).exists() and (stored := _stored(old_folder)) is not None:
        store_reference(new_folder, *stored)


def _stored(folder: Path) -> tuple[str | None, Reference] | None:
    """Return the anchor's artifact (None: without one) and the reference; None when there is no readable one."""
    try:
        found = from_json(_Stored, json_value(read_plain_text(folder / _NAME)))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    anchor_ns = None if found.artifact is None else found.anchor_ns
    times = [found.pulse_ns] if found.artifact is None else [found.pulse_ns, anchor_ns or 0.0]
    is_valid = all(ns > 0 for ns in times)
    return (found.artifact, Reference(anchor_ns, found.pulse_ns)) if is_valid else None
