"""The plain network that everything downstream handles: raw images in, one logits tensor an exit out."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Raw uint8 images [b, c, h, w] to float32 with zero mean and unit variance a channel, inside the graph.

    `mean` and `std` are the training images' statistics on the 0-255 scale, one a channel.
    """

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("scale", 1.0 / torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    mean: Tensor
    scale: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """[b, c, h, w] uint8 -> [b, c, h, w] float32."""
        return (images.to(torch.float32) - self.mean) * self.scale


class ExitSegment(nn.Module):
    """A segment with an exit: `body` makes the features that go on, `head` makes logits [b, k] of them."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (or raw images) -> (logits [b, k], features)."""
        features = self.body(features)
        return self.head(features), features


class StagedNetwork(nn.Module):
    """A plain network as a chain of segments, each but the last with an exit.

    Segment 0 takes raw uint8 images [b, c, h, w] (normalization is inside it); segment i takes the features of
    segment i-1. Every segment but the last is an ExitSegment; the last returns `logits [b, k]`.
    A network without exits has one segment.
    """

    def __init__(self, segments: list[nn.Module]) -> None:
        super().__init__()
        self.segments = nn.ModuleList(segments)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits [b, k] of every exit, the final one last."""
        exits: list[Tensor] = []
        features = images
        for segment in self.segments[:-1]:
            logits, features = segment(features)
            exits.append(logits)
        exits.append(self.segments[-1](features))
        return exits

    def without_exits(self) -> StagedNetwork:
        """The same modules as one segment, the early heads cut away."""
        bodies = [segment.body for segment in self.segments[:-1] if isinstance(segment, ExitSegment)]
        return StagedNetwork([nn.Sequential(*bodies, self.segments[-1])])
