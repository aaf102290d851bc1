"""PyTorch, eagerly: a `torch.export` program (.pt2) a segment; dynamic int8 of the linear layers by torchao."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.files import write_bytes
from explorer.runtimes.runtime import ExportJob, Runtime, SegmentFile
from explorer.runtimes.staged import Array, Segment

if TYPE_CHECKING:
    from torch import nn


def load_segments(files: Sequence[Path], threads: int, quantization: str) -> list[Segment]:
    """One program a segment. Sets the threads of this process's torch."""
    import torch

    if quantization != "none":
        import torchao  # noqa: F401  # registers the operators that a quantized program calls

    torch.set_num_threads(threads)
    if torch.get_num_threads() != threads:
        raise RuntimeError(f"torch uses {torch.get_num_threads()} threads, not the {threads} that were asked for")
    return [program_of(str(file)) for file in files]


def program_of(file: str) -> Segment:
    """A saved program's own graph, with its weights bound once.

    `ExportedProgram.module()` looks every weight up again, and checks its inputs, at each call: 0.1 to 0.2 ms that a
    plain module does not take.
    """
    import torch
    from torch.export.graph_signature import InputKind

    program = torch.export.load(file)
    held = {**program.constants, **program.state_dict}
    kinds = [(spec.kind, spec.target) for spec in program.graph_signature.input_specs]
    position = [kind for kind, _ in kinds].index(InputKind.USER_INPUT)
    weights = [held[str(target)] for kind, target in kinds if kind != InputKind.USER_INPUT]
    before, after = weights[:position], weights[position:]
    forward = program.graph_module.forward

    def call(features: Array) -> tuple[Array, ...]:
        with torch.inference_mode():
            made = forward(*before, torch.from_numpy(features), *after)
            return tuple(part.numpy() for part in made)

    return call


class Eager(Runtime):
    """PyTorch's own executor, one kernel after the other."""

    name = "eager"
    packages = ("torch", "torchao")
    modules = ("torch", "torchao")
    quantizations = frozenset({"none", "dynamic_int8"})
    provider = "cpu"
    loading = (load_segments, program_of)

    def imports(self, quantization: str) -> tuple[str, ...]:
        """Reading a program takes more of torch than `import torch`, 160 MiB of it, and torchao where it quantizes."""
        reading = ("torch.export.pt2_archive", "networkx")
        return (*self.modules[:1], *reading) if quantization == "none" else (*self.modules, *reading)

    def export(self, job: ExportJob, folder: Path) -> tuple[SegmentFile, ...]:
        """One .pt2 a segment."""
        import torch

        network = copy.deepcopy(job.shipped()).eval()
        if job.quantization == "dynamic_int8":
            _quantize_linear_layers(network)
        features = torch.from_numpy(job.calibration[:2].copy())
        written = []
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.export warns of its own deprecations
            for index, segment in enumerate(network.segments):
                program = torch.export.export(segment, (features,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
                for node in program.graph.nodes:
                    node.meta.pop("stack_trace", None)  # it names files of this machine
                program.example_inputs = None  # they would be stored as a pickle
                file = f"segment_{index}.pt2"
                content = io.BytesIO()  # torch's own writer of files aborts the process when the disk is full
                torch.export.save(program, content)
                write_bytes(folder / file, content.getvalue())
                made = segment(features)
                written.append(_facts(file, segment, features))
                features = made[1] if isinstance(made, tuple) else made
        return tuple(written)

    def requirements(self, quantization: str) -> tuple[str, ...]:
        """torchao only for a quantized program."""
        return ("torch",) if quantization == "none" else self.packages


def _quantize_linear_layers(network: nn.Module) -> None:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantize_(network, Int8DynamicActivationInt8WeightConfig())


def _facts(file: str, segment: nn.Module, features: Any) -> SegmentFile:
    """Count the layers whose weight is no longer a plain float tensor, and the MACs that they carry."""
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
