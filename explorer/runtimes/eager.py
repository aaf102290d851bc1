"""Eager PyTorch: one `torch.export` program (.pt2) per segment; dynamic int8 of the linear layers by torchao."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.runtimes import eager_loading
from explorer.runtimes.runtime import ExportJob, Runtime, SegmentFile
from explorer.system.files import write_bytes

if TYPE_CHECKING:
    from torch import nn


class Eager(Runtime):
    """PyTorch's own executor, one kernel after the other."""

    name = "eager"
    packages = ("torch", "torchao")
    modules = ("torch", "torchao")
    quantizations = frozenset({"none", "dynamic_int8"})
    provider = "cpu"
    suffix = ".pt2"
    trust = "checked"
    loading = eager_loading

    def imports(self, quantization: str) -> tuple[str, ...]:
        """Return what reading a program imports: 160 MiB more of torch, and torchao for quantized programs."""
        reading = ("torch.export.pt2_archive", "networkx")
        return (*self.modules[:1], *reading) if quantization == "none" else (*self.modules, *reading)

    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """Write one .pt2 file per segment."""
        import torch

        network = copy.deepcopy(job.shipped()).eval()
        if job.quantization == "dynamic_int8":
            from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

            quantize_(network, Int8DynamicActivationInt8WeightConfig())
        features = torch.from_numpy(job.calibration[:2].copy())
        written = []
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.export warns of its own deprecations
            for index, segment in enumerate(network.segments):
                program = torch.export.export(segment, (features,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
                for node in program.graph.nodes:
                    node.meta.pop("stack_trace", None)  # it names files of this machine
                program.example_inputs = None  # they would be stored as a pickle
                file = self.segment_name(index)
                content = io.BytesIO()  # torch's own writer of files aborts the process when the disk is full
                torch.export.save(program, content)
                write_bytes(folder / file, content.getvalue())
                made = segment(features)
                written.append(_facts(file, segment, features))
                features = made[1] if isinstance(made, tuple) else made
        return tuple(written)

    def check(self, content: bytes) -> None:
        """Accept only what `torch.export.save` writes. Raises UnsafeFile."""
        from explorer.runtimes.untrusted.pt2_program import check_program

        check_program(content)

    def requirements(self, quantization: str) -> tuple[str, ...]:
        """Require torchao only for a quantized program."""
        return ("torch",) if quantization == "none" else self.packages


def _facts(file: str, segment: nn.Module, features: Any) -> SegmentFile:
    """Count the layers whose weight is not a plain float tensor, and the MACs that they carry."""
    import torch
    from torch import nn

    macs: dict[str, tuple[bool, int]] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def record(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            weight: Any = module.weight
            is_int8 = type(weight) not in (nn.Parameter, torch.Tensor)
            macs[name] = (is_int8, weight.shape.numel() * (output[0, 0].numel() if output.dim() == 4 else 1))

        return record

    layers = [(n, m) for n, m in segment.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [module.register_forward_hook(hook(name)) for name, module in layers]
    segment(features)
    for handle in handles:
        handle.remove()
    total = sum(count for _, count in macs.values())
    int8 = sum(count for is_int8, count in macs.values() if is_int8)
    return SegmentFile(file, len(macs), sum(is_int8 for is_int8, _ in macs.values()), int8 / total if total else 0.0)
