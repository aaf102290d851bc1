"""The accuracy of every exit."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from explorer.models.network import StagedNetwork
from explorer.models.store import accuracy


class FirstPixel(nn.Module):
    """An exit that answers the first pixel, and passes on the second."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        one_hot = nn.functional.one_hot(images[:, 0, 0].long(), 4).float()
        return one_hot, nn.functional.one_hot(images[:, 0, 1].long(), 4).float()


def test_accuracy_counts_each_exit_over_more_than_one_batch() -> None:
    labels = np.arange(600) % 4
    images = np.stack([labels, np.where(np.arange(600) < 150, labels, (labels + 1) % 4)], axis=1)
    network = StagedNetwork([FirstPixel(), nn.Identity()])

    assert accuracy(network, images.astype(np.uint8)[:, None], labels) == [1.0, 0.25]
