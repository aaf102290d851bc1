"""A residual 3×3 CNN with two early exits, whose weights serve every width.

Universally slimmable in the sense of Yu & Huang, "Universally Slimmable Networks and Improved Training Techniques"
(ICCV 2019): the network of width w uses the leading channels of every layer. The exits are in the manner of
BranchyNet (Teerapittayanon et al., ICPR 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from explorer.models.network import ExitSegment, Normalize, StagedNetwork
from explorer.records import Width

MIN_WIDTH = 0.25


@dataclass(frozen=True, slots=True)
class Architecture:
    """Layer sizes at width 1.0.

    stem           channels, kernel size and stride of each convolution before the first stage
    channels       of the three stages
    blocks         residual blocks of each stage
    exit_channels  of the 3×3 convolution in front of each early classifier
    """

    image_channels: int
    n_classes: int
    stem: tuple[tuple[int, int, int], ...]
    channels: tuple[int, int, int]
    blocks: tuple[int, int, int]
    exit_channels: tuple[int, int]


def architecture_for(image_shape: tuple[int, int, int], n_classes: int) -> Architecture:
    """The layer sizes for images of shape (c, h, w): the first stage works on 8 to 16 pixels a side up to 64×64.

    Below 16 pixels: stem of stride 1 and fewer channels. From 16: stride 2. From 48: stride 4.
    """
    side = min(image_shape[1:])
    if side < 16:
        return Architecture(image_shape[0], n_classes, ((32, 3, 1),), (32, 64, 96), (1, 1, 1), (32, 64))
    finest = (16, 3, 1) if side < 48 else (16, 4, 2)
    return Architecture(image_shape[0], n_classes, (finest, (48, 3, 2)), (48, 112, 224), (1, 1, 2), (64, 96))


def scale_channels(n: int, width: float) -> int:
    """`n * width` rounded half up to a multiple of 8, at least 8."""
    return max(8, int(n * width + 4) // 8 * 8)


def stage_widths(width: Width) -> tuple[float, float, float]:
    """One width a stage. Raises ValueError for a width outside [0.25, 1] or not one or three of them."""
    widths = tuple(width) if isinstance(width, tuple) else (width,) * 3
    if len(widths) != 3 or not all(MIN_WIDTH <= w <= 1.0 for w in widths):
        raise ValueError(f"expected one width or three, each in [{MIN_WIDTH}, 1], got {width!r}.")
    return widths[0], widths[1], widths[2]


class Convolution(nn.Sequential):
    """Convolution without bias, padded to keep (side / stride), then batch norm."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> None:
        padding = (kernel - stride + 1) // 2
        super().__init__(nn.Conv2d(n_in, n_out, kernel, stride, padding, bias=False), nn.BatchNorm2d(n_out))


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which is a 1×1 projection where the shape changes."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first = Convolution(n_in, n_out, stride=stride)
        self.second = Convolution(n_out, n_out)
        self.shortcut: nn.Module = nn.Identity() if stride == 1 else Convolution(n_in, n_out, kernel=1, stride=stride)
        self.relu_inside = nn.ReLU()
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """[b, n_in, h, w] -> [b, n_out, h / stride, w / stride]."""
        return self.relu(self.second(self.relu_inside(self.first(features))) + self.shortcut(features))  # type: ignore[no-any-return]


class Classifier(nn.Module):
    """Mean over the positions, then a linear layer."""

    def __init__(self, n_in: int, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """[b, n_in, h, w] -> logits [b, n_classes]."""
        return self.linear(features.mean((2, 3)))  # type: ignore[no-any-return]


def plain_network(
    architecture: Architecture, widths: tuple[float, float, float], mean: list[float], std: list[float]
) -> StagedNetwork:
    """An ordinary network of the given widths, with fresh weights.

    At 32×32 and width 1.0: 49 M MACs to the final head, 53 M with the early exits; at 0.25, 4.3 M and 4.5 M.
    """
    one, two, three = (scale_channels(n, w) for n, w in zip(architecture.channels, widths, strict=True))
    exit_one, exit_two = (scale_channels(n, w) for n, w in zip(architecture.exit_channels, widths[:2], strict=True))
    n_classes = architecture.n_classes

    def stage(n_in: int, n_out: int, n_blocks: int, stride: int) -> list[nn.Module]:
        return [Block(n_in, n_out, stride), *(Block(n_out, n_out, 1) for _ in range(n_blocks - 1))]

    def early_head(n_in: int, n_hidden: int) -> nn.Module:
        return nn.Sequential(Convolution(n_in, n_hidden, stride=2), nn.ReLU(), Classifier(n_hidden, n_classes))

    def stem() -> list[nn.Module]:
        made: list[nn.Module] = []
        n_in = architecture.image_channels
        for n, kernel, stride in architecture.stem:
            n_out = scale_channels(n, widths[0])
            made += [Convolution(n_in, n_out, kernel, stride), nn.ReLU()]
            n_in = n_out
        return made

    first, second, third = architecture.blocks
    return StagedNetwork(
        [
            ExitSegment(
                nn.Sequential(Normalize(mean, std), *stem(), *stage(one, one, first, 1)),
                early_head(one, exit_one),
            ),
            ExitSegment(nn.Sequential(*stage(one, two, second, 2)), early_head(two, exit_two)),
            nn.Sequential(*stage(two, three, third, 2), Classifier(three, n_classes)),
        ]
    )


@final
class SlimmableCNN(nn.Module):
    """The base network: the widest plain network, whose leading channels are every narrower one.

    `image_shape` is (c, h, w); `mean` and `std` are one a channel on the 0-255 scale.
    """

    def __init__(self, n_classes: int, image_shape: tuple[int, int, int], mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.architecture = architecture_for(image_shape, n_classes)
        self._mean, self._std = list(mean), list(std)
        self.widest = plain_network(self.architecture, (1.0, 1.0, 1.0), self._mean, self._std)
        self._outlines: dict[tuple[float, float, float], StagedNetwork] = {}

    def forward(self, images: Tensor, width: Width = 1.0) -> list[Tensor]:
        """Raw uint8 images [b, c, h, w] -> logits [b, n_classes] of every exit of the network of that width.

        In training mode batch norm uses the batch's statistics, and only width 1.0 leaves running ones behind.
        Raises ValueError for a width that the weights do not serve.
        """
        widths = stage_widths(width)
        if widths == (1.0, 1.0, 1.0):
            return self.widest(images)  # type: ignore[no-any-return]
        outline = self._outline(widths).train(self.training)
        tensors = self._leading(outline)
        if self.training:
            running = {name for name, _ in outline.named_buffers()}
            tensors = {name: t.clone() if name in running else t for name, t in tensors.items()}
        return functional_call(outline, tensors, (images,))  # type: ignore[no-any-return]

    def materialise(self, width: Width) -> StagedNetwork:
        """A plain network of that width with copies of its weights, in eval mode; batch-norm statistics as they are.

        Raises ValueError for a width that the weights do not serve.
        """
        network = plain_network(self.architecture, stage_widths(width), self._mean, self._std)
        network.load_state_dict(self._leading(network))
        return network.eval()

    def _outline(self, widths: tuple[float, float, float]) -> StagedNetwork:
        """A network of that width without weights, to be called with slices of the widest one's."""
        if widths not in self._outlines:
            if len(self._outlines) >= 8:  # random widths seldom repeat
                self._outlines.clear()
            with torch.device("meta"):
                self._outlines[widths] = plain_network(self.architecture, widths, self._mean, self._std)
        return self._outlines[widths]

    def _leading(self, narrow: StagedNetwork) -> dict[str, Tensor]:
        """The leading block of each tensor of the widest network, as large as the narrow network needs."""
        wide = {**dict(self.widest.named_parameters()), **dict(self.widest.named_buffers())}
        shapes = {name: tensor.shape for name, tensor in narrow.state_dict(keep_vars=True).items()}
        return {name: wide[name][tuple(slice(n) for n in shape)] for name, shape in shapes.items()}


def build(n_classes: int, image_shape: tuple[int, int, int], mean: list[float], std: list[float]) -> SlimmableCNN:
    """A base network with fresh weights (from torch's generator); the entry point of the family."""
    return SlimmableCNN(n_classes, image_shape, mean, std)
