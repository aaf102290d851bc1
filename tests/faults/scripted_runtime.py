"""A runtime and a model family whose trials are made up, registered as any other: nothing is trained or timed."""

from __future__ import annotations

from pathlib import Path

from explorer.models import registry as families
from explorer.models.registry import Family
from explorer.parameters import PARAMETERS
from explorer.records import Variant
from explorer.runtimes import runtime as runtimes
from explorer.runtimes import staged
from explorer.runtimes.runtime import ExportJob, Runtime, SegmentFile
from explorer.space.values import FamilyTraits
from explorer.study.read import load_result
from explorer.study.result import StudyResult

FAMILY = Family(
    traits=FamilyTraits((families.width(0.25, n_stages=1), families.exit_threshold(False)), ("scripted",)),
    version=1,
    build=lambda *_: None,
)
N_LAYERS = 4


class Scripted(Runtime):
    """Exports a text, which nobody executes."""

    name = "scripted"
    packages = ("numpy",)
    modules = ("numpy",)
    quantizations = frozenset({"none", "dynamic_int8", "static_int8"})
    provider = "a script"
    suffix = ".txt"
    trust = "checked"
    loading = staged  # nothing is loaded

    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """The network of the job is any text here."""
        (folder / self.segment_name(0)).write_text(f"{job.network} {job.quantization}", encoding="ascii")
        is_int8 = job.quantization != "none"
        return (SegmentFile(self.segment_name(0), N_LAYERS, N_LAYERS * is_int8, float(is_int8)),)

    def check(self, content: bytes) -> None:
        """Any text is safe."""


def register() -> None:
    """Register both in this process."""
    runtimes.RUNTIMES._places["scripted"] = "scripted_runtime:Scripted"  # type: ignore[index]
    families.FAMILIES._places["scripted"] = "scripted_runtime:FAMILY"  # type: ignore[index]
    vars(PARAMETERS).pop("_specs", None)  # read again, with their parameters


def read_study(folder: Path) -> StudyResult:
    """The study of a folder, whose family and runtime may be the scripted ones; this process keeps none of them."""
    before = dict(runtimes.RUNTIMES._places), dict(families.FAMILIES._places)
    register()
    try:
        return load_result(folder)
    finally:
        for registry, places in zip((runtimes.RUNTIMES, families.FAMILIES), before, strict=True):
            vars(registry)["_places"] = places
        vars(PARAMETERS).pop("_specs", None)


def known_values(variant: Variant) -> dict[str, float]:
    """Accuracy, latency in ms and peak memory in MiB: of all widths the narrowest is best, so that fronts are small."""
    assert isinstance(variant["width"], float)
    speed = {"eager": 1.0, "onnxruntime": 0.5, "scripted": 0.4}[variant["runtime"]]
    speed *= {"none": 1.0, "dynamic_int8": 1.3, "static_int8": 0.35}[variant["quantization"]]
    is_int8 = variant["quantization"] != "none"
    return {
        "accuracy": 0.9 - 0.4 * variant["pruning_ratio"] ** 2 - 0.01 * is_int8,
        "latency_ms": 4.0 * variant["width"] * (1.0 - 0.6 * variant["pruning_ratio"]) * speed,
        "peak_memory_mib": (600.0 if variant["runtime"] == "eager" else 80.0) + 100.0 * variant["width"],
    }
