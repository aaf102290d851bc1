"""Accuracy of a network's exits on labelled images, for the record of a training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from explorer.models.network import StagedNetwork

_BATCH_SIZE = 250


@torch.inference_mode()
def accuracy(network: StagedNetwork, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[float]:
    """The share of `images` (uint8 [n, c, h, w], n >= 1) that each exit classifies correctly, the final one last."""
    n_right = np.zeros(len(network.segments), dtype=np.int64)
    for start in range(0, len(images), _BATCH_SIZE):
        batch = torch.from_numpy(np.array(images[start : start + _BATCH_SIZE]))
        right = labels[start : start + _BATCH_SIZE]
        n_right += [int((logits.argmax(1).numpy() == right).sum()) for logits in network(batch)]
    return [round(float(n) / len(images), 5) for n in n_right]
