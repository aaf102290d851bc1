"""Networks of a user's own, good and bad, named in search spaces as `own_networks:<function>`."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn


class SmallNetwork(nn.Sequential):
    def __init__(self, n_classes: int, channels: int) -> None:
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, n_classes),
        )


class _Segfaults(SmallNetwork):
    """Dies where pruning traces it: nothing else asks for gradients and does not train."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and not self.training:
            ctypes.string_at(0)
        return super().forward(x)


class _Aborts(SmallNetwork):
    """Dies when it is copied for its first variant: the checks before copy it five times."""

    n_copies = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        _Aborts.n_copies += 1
        if _Aborts.n_copies > 5:
            os.abort()
        copied = _Aborts.__new__(_Aborts)
        nn.Module.__init__(copied)
        copied._modules = dict(self._modules)
        return copied


def good(n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    return SmallNetwork(n_classes, image_shape[0])


def segfaults_when_pruned(n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    return _Segfaults(n_classes, image_shape[0])


def aborts_when_built(n_classes: int, image_shape: tuple[int, int, int]) -> nn.Module:
    return _Aborts(n_classes, image_shape[0])


def nearest_mean() -> nn.Module:
    """The class whose mean image, with pixels from 0 to 1, is nearest; on any other scale it is another classifier."""
    digits = load_digits()
    images, labels = torch.from_numpy(digits.data / 16).float(), torch.from_numpy(digits.target)
    means = torch.stack([images[labels == label].mean(0) for label in range(10)])
    linear = nn.Linear(64, 10)
    with torch.no_grad():
        linear.weight.copy_(2 * means)
        linear.bias.copy_(-(means**2).sum(1))
    return nn.Sequential(nn.Flatten(), linear)


def raises() -> nn.Module:
    raise RuntimeError("no weights here")
