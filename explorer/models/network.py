"""The plain network that all later stages use, raw inputs in, one output tensor per exit; what families make it of.

A universally slimmable network (Yu & Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV
2019) has one set of weights for every width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from explorer.parameters import canonical
from explorer.records import Width


@torch.no_grad()
def recalibrate(network: nn.Module, inputs: Tensor | NDArray[Any], batch_size: int = 500) -> None:
    """Replace the running statistics of every batch norm by their averages over `inputs`, in place.

    The statistics of one width or pruning are wrong for every other. `inputs` are those [n, ...] of training examples,
    n >= 2, not augmented, taken in order; a last batch shorter than half a batch is omitted, since all batches have
    equal weight. Leaves the network in eval mode. Deterministic. Raises ValueError for fewer than 2 inputs.
    """
    if len(inputs) < 2:
        raise ValueError(f"expected at least 2 inputs to estimate batch-norm statistics from, got {len(inputs)}.")
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    try:
        for batch in _batches(inputs, batch_size):
            network(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()


def _batches(inputs: Tensor | NDArray[Any], batch_size: int) -> list[Tensor]:
    starts = range(0, len(inputs), batch_size)
    chunks = [inputs[start : start + batch_size] for start in starts]
    if len(chunks) > 1 and len(chunks[-1]) < batch_size / 2:
        chunks.pop()
    return [chunk if isinstance(chunk, Tensor) else torch.from_numpy(np.array(chunk)) for chunk in chunks]


class Normalize(nn.Module):
    """The normalization of raw uint8 images [b, c, h, w] to float32, (image - mean) / std, inside the graph.

    `mean` and `std` are per channel on the 0-255 scale.
    """

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("scale", 1.0 / torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    mean: Tensor
    scale: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 [b, c, h, w] to float32 [b, c, h, w]."""
        return (images.to(torch.float32) - self.mean) * self.scale


def normalization_of(network: nn.Module) -> tuple[list[float], list[float]]:
    """Return mean and std per channel, on the 0-255 scale, of the network's input normalization.

    Raises LookupError for a network without a Normalize.
    """
    normalize = next((module for module in network.modules() if isinstance(module, Normalize)), None)
    if normalize is None:
        raise LookupError("expected a network that normalizes its input, got one without a Normalize.")
    return normalize.mean.flatten().tolist(), (1 / normalize.scale.double()).flatten().tolist()


class ExitSegment(nn.Module):
    """A segment with an exit: `body` computes the features for the next segment, `head` outputs [b, k] from them."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features, or raw inputs, to (outputs [b, k], features)."""
        features = self.body(features)
        return self.head(features), features


class StagedNetwork(nn.Module):
    """A plain network as a chain of segments, each but the last with an exit.

    Segment 0 takes raw inputs [b, ...], of images uint8 [b, c, h, w] (normalization is inside it); segment i takes the
    features of segment i-1. Every segment but the last is an ExitSegment; the last returns outputs [b, k]. A network
    without exits has one segment.
    """

    def __init__(self, segments: list[nn.Module]) -> None:
        super().__init__()
        self.segments = nn.ModuleList(segments)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Return the outputs [b, k] of every exit for inputs [b, ...], the final one last."""
        exits: list[Tensor] = []
        features = inputs
        for segment in self.segments[:-1]:
            outputs, features = segment(features)
            exits.append(outputs)
        exits.append(self.segments[-1](features))
        return exits

    def without_exits(self) -> StagedNetwork:
        """Return the same modules as one segment, without the early heads."""
        bodies = [segment.body for segment in self.segments[:-1] if isinstance(segment, ExitSegment)]
        return StagedNetwork([nn.Sequential(*bodies, self.segments[-1])])


class Convolution(nn.Sequential):
    """Convolution without bias, padded to keep (side / stride), then batch norm."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> None:
        padding = (kernel - stride + 1) // 2
        super().__init__(nn.Conv2d(n_in, n_out, kernel, stride, padding, bias=False), nn.BatchNorm2d(n_out))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which is a 1×1 projection where the shape changes."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = Convolution(n_in, n_out, stride=stride)
        self.second = Convolution(n_out, n_out)
        self.shortcut: nn.Module = nn.Identity() if stride == 1 else Convolution(n_in, n_out, kernel=1, stride=stride)
        self.relu_inside = nn.ReLU()
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Map [b, n_in, h, w] to [b, n_out, h / stride, w / stride]."""
        return self.relu(self.second(self.relu_inside(self.first(features))) + self.shortcut(features))  # type: ignore[no-any-return]


class Classifier(nn.Module):
    """Mean over the positions, then a linear layer."""

    def __init__(self, n_in: int, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map [b, n_in, h, w] to logits [b, n_classes]."""
        return self.linear(features.mean((2, 3)))  # type: ignore[no-any-return]


@final
class SlimmableNetwork(nn.Module):
    """A base network: the widest plain network, whose leading channels make every narrower one.

    `plain(width, ...)` returns an ordinary network with fresh weights, and the widest one without arguments. Its
    tensors have the names that they have in the widest network. `architecture` is a dataclass that identifies it.
    """

    def __init__(self, architecture: Any, plain: Callable[..., StagedNetwork]) -> None:
        super().__init__()
        self.architecture = architecture
        self._plain = plain
        self.widest = plain()
        self._outlines: dict[Width, StagedNetwork] = {}

    def forward(self, images: Tensor, width: Width = 1.0) -> list[Tensor]:
        """Map raw uint8 images [b, c, h, w] to logits [b, n_classes] of every exit of the network of that width.

        In training mode batch norm uses the batch's statistics, and only width 1.0 updates the running ones. Raises
        ValueError for a width that the weights do not support.
        """
        if canonical(width) == 1.0:
            return self.widest(images)  # type: ignore[no-any-return]
        outline = self._outline(width).train(self.training)
        tensors = self._leading(outline)
        if self.training:
            running = {name for name, _ in outline.named_buffers()}
            tensors = {name: t.clone() if name in running else t for name, t in tensors.items()}
        return functional_call(outline, tensors, (images,))  # type: ignore[no-any-return]

    def materialize(self, width: Width = 1.0, **values: Any) -> StagedNetwork:
        """Return a plain network with copies of its weights, in eval mode, with unchanged statistics.

        Raises ValueError for values that the weights do not support.
        """
        network = self._plain(width, **values)
        network.load_state_dict(self._leading(network))
        return network.eval()

    def _outline(self, width: Width) -> StagedNetwork:
        """Return a network of that width without weights, to be called with slices of the widest one's."""
        if width not in self._outlines:
            if len(self._outlines) >= 8:  # random widths seldom repeat
                self._outlines.clear()
            with torch.device("meta"):
                self._outlines[width] = self._plain(width)
        return self._outlines[width]

    def _leading(self, narrow: StagedNetwork) -> dict[str, Tensor]:
        """Return the leading block of each tensor of the widest network, of the narrow network's sizes."""
        wide = {**dict(self.widest.named_parameters()), **dict(self.widest.named_buffers())}
        shapes = {name: tensor.shape for name, tensor in narrow.state_dict(keep_vars=True).items()}
        return {name: wide[name][tuple(slice(n) for n in shape)] for name, shape in shapes.items()}
