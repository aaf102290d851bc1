"""Batch-norm statistics, estimated anew: those of one width or pruning are wrong for every other."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@torch.no_grad()
def recalibrate(network: nn.Module, images: Tensor | NDArray[np.uint8], batch_size: int = 500) -> None:
    """Replace the running statistics of every batch norm by their averages over `images`, in place.

    `images` are uint8 [n, c, h, w] training images, n >= 2, not augmented, taken in order; a last batch shorter than
    half a batch is left out, since the average gives every batch the same weight. Leaves the network in eval mode and
    everything but the batch-norm buffers as it was. Deterministic. Raises ValueError for fewer than 2 images.
    """
    if len(images) < 2:
        raise ValueError(f"expected at least 2 images to estimate batch-norm statistics from, got {len(images)}.")
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    try:
        for batch in _batches(images, batch_size):
            network(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()


def _batches(images: Tensor | NDArray[np.uint8], batch_size: int) -> list[Tensor]:
    starts = range(0, len(images), batch_size)
    chunks = [images[start : start + batch_size] for start in starts]
    if len(chunks) > 1 and len(chunks[-1]) < batch_size / 2:
        chunks.pop()
    return [chunk if isinstance(chunk, Tensor) else torch.from_numpy(np.array(chunk)) for chunk in chunks]
