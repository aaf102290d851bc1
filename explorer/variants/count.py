"""Parameters and multiply-accumulates of a network, counted by torch's FlopCounterMode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork


def n_parameters(network: StagedNetwork) -> int:
    """Trained parameters, batch norm's included."""
    return sum(parameter.numel() for parameter in network.parameters())


def mega_macs(network: StagedNetwork, image_shape: tuple[int, ...]) -> tuple[float, ...]:
    """10^6 multiply-accumulates of one image (c, h, w) in each segment, its head included.

    Convolutions and matrix products are counted, as is usual; a MAC is two FLOPs.
    """
    counts = []
    features = torch.zeros((1, *image_shape), dtype=torch.uint8)
    with torch.inference_mode():
        for segment in network.eval().segments:
            counter = FlopCounterMode(display=False)
            with counter:
                made = segment(features)
            counts.append(counter.get_total_flops() / 2e6)
            features = made[1] if isinstance(made, tuple) else made
    return tuple(counts)
