"""A residual 3×3 CNN with two early exits, whose weights serve every width.

Universally slimmable (Yu & Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019): the
network of width w uses the leading channels of every layer. The exits are those of BranchyNet (Teerapittayanon et al.,
ICPR 2016).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from explorer.models.recipes import RECIPES
from explorer.models.registry import Family, exit_threshold, width
from explorer.parameters import Numbers, ParameterSpec
from explorer.records import Width
from explorer.space.values import FamilyTraits

if TYPE_CHECKING:
    from torch import nn

    from explorer.models.network import SlimmableNetwork, StagedNetwork

MIN_WIDTH = 0.25
MAX_DEPTH = 2


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
    """Return the layer sizes for images of shape (c, h, w): the first stage has 8 to 16 pixels a side up to 64×64.

    Below 16 pixels: stem of stride 1 and fewer channels. From 16: stride 2. From 48: stride 4.
    """
    side = min(image_shape[1:])
    if side < 16:
        return Architecture(image_shape[0], n_classes, ((32, 3, 1),), (32, 64, 96), (1, 1, 1), (32, 64))
    finest = (16, 3, 1) if side < 48 else (16, 4, 2)
    return Architecture(image_shape[0], n_classes, (finest, (48, 3, 2)), (48, 112, 224), (1, 1, 2), (64, 96))


def scale_channels(n: int, width: float) -> int:
    """Return `n * width` rounded half up to a multiple of 8, at least 8."""
    return max(8, int(n * width + 4) // 8 * 8)


def stage_widths(width: Width) -> tuple[float, float, float]:
    """Return one width per stage. Raises ValueError for a width outside [0.25, 1] or not one or three of them."""
    widths = tuple(width) if isinstance(width, tuple) else (width,) * 3
    if len(widths) != 3 or not all(MIN_WIDTH <= w <= 1.0 for w in widths):
        raise ValueError(f"expected one width or three, each in [{MIN_WIDTH}, 1], got {width!r}.")
    return widths[0], widths[1], widths[2]


def plain_network(
    architecture: Architecture, mean: list[float], std: list[float], width: Width = 1.0, depth: int = MAX_DEPTH
) -> StagedNetwork:
    """Return an ordinary network with fresh weights, each stage with its first `depth` blocks.

    The first block of a stage that changes the shape of the features stays at any depth. Raises ValueError for a width
    or a depth that the family lacks. At 32×32 and width 1.0: 49 M MACs to the final head, 53 M with the early exits; at
    0.25, 4.3 M and 4.5 M.
    """
    from torch import nn

    from explorer.models.network import Classifier, Convolution, ExitSegment, Normalize, ResidualBlock, StagedNetwork

    if depth not in range(MAX_DEPTH + 1):
        raise ValueError(f"expected a depth of 0 to {MAX_DEPTH} blocks, got {depth!r}.")
    widths = stage_widths(width)
    one, two, three = (scale_channels(n, w) for n, w in zip(architecture.channels, widths, strict=True))
    exit_one, exit_two = (scale_channels(n, w) for n, w in zip(architecture.exit_channels, widths[:2], strict=True))
    n_classes = architecture.n_classes

    def stage(n_in: int, n_out: int, n_blocks: int, stride: int) -> list[nn.Module | None]:
        strides = [stride] + [1] * (n_blocks - 1)
        return [
            ResidualBlock(n_in if i == 0 else n_out, n_out, strides[i]) if i < depth or strides[i] > 1 else None
            for i in range(n_blocks)
        ]

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

    def chain(*layers: nn.Module | None) -> nn.Module:
        """Return the layers that are there, with the names that they have among all of them, and so their weights."""
        return nn.Sequential(OrderedDict((str(i), layer) for i, layer in enumerate(layers) if layer is not None))

    first, second, third = architecture.blocks
    return StagedNetwork(
        [
            ExitSegment(chain(Normalize(mean, std), *stem(), *stage(one, one, first, 1)), early_head(one, exit_one)),
            ExitSegment(chain(*stage(one, two, second, 2)), early_head(two, exit_two)),
            chain(*stage(two, three, third, 2), Classifier(three, n_classes)),
        ]
    )


def build(n_classes: int, image_shape: tuple[int, int, int], mean: list[float], std: list[float]) -> SlimmableNetwork:
    """Return a base network with fresh weights (from torch's generator).

    `image_shape` is (c, h, w); `mean` and `std` are per channel on the 0-255 scale.
    """
    from explorer.models.network import SlimmableNetwork

    architecture = architecture_for(image_shape, n_classes)
    return SlimmableNetwork(architecture, partial(plain_network, architecture, list(mean), list(std)))


DEPTH = ParameterSpec(
    name="depth",
    phase="network",
    baseline=MAX_DEPTH,
    allowed=Numbers(0, MAX_DEPTH, is_whole=True, why_maximum="no stage of this model has more blocks"),
    summary="Residual blocks of each stage, at most; the first block of a stage that changes the shape always stays.",
)

FAMILY = Family(
    traits=FamilyTraits(
        parameters=(width(MIN_WIDTH, n_stages=3), DEPTH, exit_threshold()),
        recipes=tuple(RECIPES),
        shipped=("cifar10", "cluttered_digits"),
    ),
    version=2,
    build=build,
)
