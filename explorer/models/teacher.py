"""The teacher: a network for distillation only, costly to run, quick to train, more accurate than its students.

After Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024): a frozen first convolution that whitens 2×2
patches, three stages that halve the resolution, and kernels that begin as identities.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.base import TrainingData
from explorer.models.network import Normalize
from explorer.models.sandwich import autocast
from explorer.records import Width

_CHANNELS = (64, 256, 256)
_LOGIT_SCALE = 0.125  # small initial logits keep training stable at a high learning rate
_N_WHITENED = 5000  # images


class Teacher(nn.Module):
    """118 M MACs for 32×32 color images. `whitening` is [2 n, channels, 2, 2], `mean` and `std` are per channel."""

    def __init__(self, whitening: Tensor, n_classes: int, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.first = nn.Conv2d(whitening.shape[1], whitening.shape[0], 2)
        self.first.weight = nn.Parameter(whitening, requires_grad=False)
        nn.init.zeros_(self.first.bias)  # type: ignore[arg-type]
        stages = []
        n_in = len(whitening)
        for n_out in _CHANNELS:
            stages.append(_stage(n_in, n_out))
            n_in = n_out
        self.stages = nn.Sequential(nn.GELU(), *stages)
        self.classifier = nn.Linear(n_in, n_classes, bias=False)

    def forward(self, images: Tensor, width: Width = 1.0) -> list[Tensor]:
        """Map raw uint8 images [b, c, h, w], 16 pixels a side at least, to one tensor of logits [b, n_classes].

        There is no other width than 1.0, and no early exit.
        """
        features = self.stages(self.first(self.normalize(images)))
        return [self.classifier(features.amax((2, 3))) * _LOGIT_SCALE]


def build_teacher(data: TrainingData, seed: int) -> Teacher:
    """Return a teacher with fresh weights from the seed; torch's generator is left unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Teacher(_whitening(data), data.n_outputs, list(data.mean), list(data.std))


@torch.no_grad()
def probabilities_of(teacher: nn.Module, images: Tensor) -> Tensor:
    """Return probabilities [b, n_classes] of a teacher in eval mode for raw uint8 images [b, c, h, w]."""
    with autocast(images.device):
        return F.softmax(teacher(images)[-1].float(), dim=1)


def _stage(n_in: int, n_out: int) -> nn.Module:
    def convolution(n: int) -> nn.Conv2d:
        made = nn.Conv2d(n, n_out, 3, padding=1, bias=False)
        with torch.no_grad():
            nn.init.dirac_(made.weight[: made.weight.shape[1]])
        return made

    return nn.Sequential(
        *(convolution(n_in), nn.MaxPool2d(2), nn.BatchNorm2d(n_out), nn.GELU()),
        *(convolution(n_out), nn.BatchNorm2d(n_out), nn.GELU()),
    )


def _whitening(data: TrainingData) -> Tensor:
    """Return kernels [2 n, c, 2, 2], n = 4 c: the principal components of patches to unit variance, with both signs."""
    images = data.inputs[:: -(-len(data.inputs) // _N_WHITENED)].astype(np.float32)
    mean, std = (np.array(values, np.float32).reshape(1, -1, 1, 1) for values in (data.mean, data.std))
    patches = np.lib.stride_tricks.sliding_window_view((images - mean) / std, (2, 2), axis=(2, 3))
    channels = patches.shape[1]
    rows: NDArray[np.float32] = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * 4)
    variances, components = np.linalg.eigh(rows.T @ rows / len(rows))
    kernels = (components / np.sqrt(variances + 5e-4)).T[::-1].reshape(-1, channels, 2, 2)
    return torch.from_numpy(np.concatenate([kernels, -kernels]).astype(np.float32))
