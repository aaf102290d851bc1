"""Load programs of PyTorch (.pt2). Part of every bundle of this runtime; imports nothing of this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Segment = Callable[[NDArray[Any]], tuple[NDArray[Any], ...]]


def load_segments(files: Sequence[Path], threads: int, quantization: str) -> list[Segment]:
    """Load one program a segment, features [b, ...] -> outputs [b, ...], and set the threads of this process's torch.

    Raises RuntimeError if torch takes another number of threads.
    """
    import torch

    if quantization != "none":
        import torchao  # noqa: F401  # registers the operators that a quantized program calls

    torch.set_num_threads(threads)
    if torch.get_num_threads() != threads:
        raise RuntimeError(f"torch uses {torch.get_num_threads()} threads, not the {threads} that were asked for")
    return [program_of(str(file)) for file in files]


def program_of(file: str) -> Segment:
    """Return a saved program's graph, features [b, ...] -> outputs [b, ...], with its weights bound once.

    `ExportedProgram.module()` looks up every weight and checks its inputs at each call, which takes 0.1 to 0.2 ms more.
    """
    import torch
    from torch.export.graph_signature import InputKind

    program = torch.export.load(file)
    tensors = {**program.constants, **program.state_dict}
    kinds = [(spec.kind, spec.target) for spec in program.graph_signature.input_specs]
    position = [kind for kind, _ in kinds].index(InputKind.USER_INPUT)
    weights = [tensors[str(target)] for kind, target in kinds if kind != InputKind.USER_INPUT]
    before, after = weights[:position], weights[position:]
    forward = program.graph_module.forward

    def call(features: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        with torch.inference_mode():
            made = forward(*before, torch.from_numpy(features), *after)
            return tuple(part.numpy() for part in made)

    return call
