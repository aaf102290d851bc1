"""Count parameters, multiply-accumulates, and the memory that a network needs by calculation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from explorer.observation import MemoryBytes, SegmentBytes

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork

_FLOAT_BYTES = 4
_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
# Executors fold these into the preceding layer, like everything that torch tags as pointwise.
_FOLDED = ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")


def n_parameters(network: StagedNetwork) -> int:
    """Return the number of trained parameters, batch norm's included."""
    return sum(parameter.numel() for parameter in network.parameters())


def mega_macs(network: StagedNetwork, example: Tensor) -> tuple[float, ...]:
    """Return 10^6 multiply-accumulates of one input, as in `example` [1, ...], per segment, its head included.

    Convolutions and matrix products are counted; a MAC is two FLOPs.
    """
    counts, features = [], example
    with torch.inference_mode():
        for segment in network.eval().segments:
            counter = FlopCounterMode(display=False)
            with counter:
                made = segment(features)
            counts.append(counter.get_total_flops() / 2e6)
            features = made[1] if isinstance(made, tuple) else made
    return tuple(counts)


def memory_bytes(network: StagedNetwork, example: Tensor, n_int8_layers: int = 0) -> MemoryBytes:
    """Return the memory that one input, as in `example` [1, ...], needs, from one traced forward pass.

    `n_int8_layers` is the artifact's count: all of its layers, or its linear ones alone. For any other number the int8
    layers are unknown, and all count as float32: an upper bound.
    """
    features, trace = example, _Trace(example)
    with torch.no_grad(), trace:
        for index, segment in enumerate(network.eval().segments):
            trace.segment = index
            made = segment(features)
            features = made[1] if isinstance(made, tuple) else made
    is_int8 = _int8_layers(network, n_int8_layers)
    parameters = [_parameter_bytes(segment, is_int8) for segment in network.segments]
    segments = tuple(
        SegmentBytes(n_bytes, sum(step.traffic for step in trace.steps if step.segment == index))
        for index, n_bytes in enumerate(parameters)
    )
    workspace = max((step.unfolded for step in trace.steps), default=0)
    return MemoryBytes(sum(parameters), _most_alive(trace), workspace, segments)


def _int8_layers(network: nn.Module, n_int8_layers: int) -> Callable[[nn.Module], bool]:
    layers = [module for module in network.modules() if isinstance(module, _LAYERS)]
    if n_int8_layers == len(layers):
        return lambda module: isinstance(module, _LAYERS)
    if n_int8_layers == sum(isinstance(layer, nn.Linear) for layer in layers):
        return lambda module: isinstance(module, nn.Linear)
    return lambda module: False


def _parameter_bytes(segment: nn.Module, is_int8: Callable[[nn.Module], bool]) -> int:
    """Return the bytes of parameters and buffers. Folding of batch norm, about a percent, is not assumed."""
    total = 0
    for module in segment.modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            if name == "weight" and is_int8(module):
                total += tensor.numel() + 5 * len(tensor)
            elif tensor.is_floating_point():
                total += _FLOAT_BYTES * tensor.numel()
    return total


@dataclass(frozen=True, slots=True)
class _Step:
    """One operator: indices of the activations that it reads and writes, and the bytes that it moves and unfolds."""

    segment: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    is_folded: bool
    traffic: int
    unfolded: int


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A record of every operator that makes a new tensor. Tensors stay referenced, so that no storage is reused."""

    def __init__(self, example: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[_Step] = []
        self.segment = 0
        self.sizes: list[int] = []
        self._index: dict[int, int] = {}
        self._kept: list[Tensor] = []
        self._note(example)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        reads = tuple(dict.fromkeys(i for t in _tensors(args) if (i := self._known(t)) is not None))
        fresh = [t for t in _tensors((made,)) if self._known(t) is None and t.numel()]
        if reads and fresh:
            writes = tuple(self._note(tensor) for tensor in fresh)
            is_folded = torch.Tag.pointwise in func.tags or func.overloadpacket.__name__ in _FOLDED
            is_free = is_folded and len(reads) == 1
            traffic = 0 if is_free else sum(self.sizes[index] for index in (*reads, *writes))
            self.steps.append(_Step(self.segment, reads, writes, is_folded, traffic, _unfolded(func, args, made)))
        return made

    def _known(self, tensor: Tensor) -> int | None:
        return self._index.get(tensor.untyped_storage().data_ptr())

    def _note(self, tensor: Tensor) -> int:
        self._kept.append(tensor)
        self._index[tensor.untyped_storage().data_ptr()] = len(self.sizes)
        self.sizes.append(tensor.numel() * tensor.element_size())
        return len(self.sizes) - 1


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _unfolded(func: Any, args: Any, made: Any) -> int:
    """Return the bytes of a convolution's unfolded input, in float32; 0 for everything else."""
    if func is not torch.ops.aten.convolution.default:
        return 0
    features, weight, _, stride, _, _, is_transposed, _, groups = args
    if weight[0, 0].numel() == 1 and set(stride) == {1}:
        return 0
    positions = (features if is_transposed else made)[0, 0].numel()
    return int(_FLOAT_BYTES * weight[0].numel() * groups * positions)


def _most_alive(trace: _Trace) -> int:
    """Return the largest sum of live bytes. A folded operator writes in place of an input that is not read later."""
    last = {index: number for number, step in enumerate(trace.steps) for index in (*step.writes, *step.reads)}
    alive = {0: trace.sizes[0]}
    most = sum(alive.values())
    for number, step in enumerate(trace.steps):
        ending = [index for index in step.reads if last[index] == number and index in alive]
        for index in step.writes:
            size = trace.sizes[index]
            place = next((old for old in ending if step.is_folded and alive[old] == size), None)
            if place is not None:
                ending.remove(place)
                del alive[place]
            alive[index] = size
        most = max(most, sum(alive.values()))
        for index in ending:
            del alive[index]
        for index in step.writes:
            if last[index] == number:  # outputs
                del alive[index]
    return most
