"""A runtime and a model family whose trials are made up, registered as any other: nothing is trained or timed."""

from __future__ import annotations

from pathlib import Path

from explorer.models import registry as families
from explorer.models.registry import Traits
from explorer.records import Variant
from explorer.runtimes import registry as runtimes
from explorer.runtimes.runtime import ExportJob, Runtime, SegmentFile

N_LAYERS = 4


class Scripted(Runtime):
    """Exports a text, which nobody executes."""

    name = "scripted"
    packages = ("numpy",)
    modules = ("numpy",)
    quantizations = frozenset({"none", "dynamic_int8", "static_int8"})
    provider = "a script"
    loading = ()

    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """The network of the job is any text here."""
        (folder / "segment_0.txt").write_text(f"{job.network} {job.quantization}", encoding="ascii")
        is_int8 = job.quantization != "none"
        return (SegmentFile("segment_0.txt", N_LAYERS, N_LAYERS * is_int8, float(is_int8)),)


def register() -> None:
    """Register both in this process."""
    runtimes.RUNTIMES["scripted"] = "scripted_runtime:Scripted"
    families.FAMILIES["scripted"] = "scripted_runtime"
    families._TRAITS["scripted"] = Traits(0.25, 1, False, ("scripted",), {}, 1)


def known_values(variant: Variant) -> dict[str, float]:
    """Accuracy, latency in ms and peak memory in MiB: of all widths the narrowest is best, so that fronts are small."""
    assert isinstance(variant.width, float)
    speed = {"eager": 1.0, "onnxruntime": 0.5, "scripted": 0.4}[variant.runtime]
    speed *= {"none": 1.0, "dynamic_int8": 1.3, "static_int8": 0.35}[variant.quantization]
    is_int8 = variant.quantization != "none"
    return {
        "accuracy": 0.9 - 0.4 * variant.pruning_ratio**2 - 0.01 * is_int8,
        "latency_ms": 4.0 * variant.width * (1.0 - 0.6 * variant.pruning_ratio) * speed,
        "peak_memory_mib": (600.0 if variant.runtime == "eager" else 80.0) + 100.0 * variant.width,
    }
