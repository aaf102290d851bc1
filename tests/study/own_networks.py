"""Networks of a user's own, good and bad, named in search spaces as `own_networks:<function>`."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import torch
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
    """Dies where pruning traces it: nothing else of a build asks for gradients before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            ctypes.string_at(0)
        return super().forward(x)


class _Aborts(SmallNetwork):
    """Dies when it is copied for its first variant: the checks before copy it twice."""

    n_copies = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        _Aborts.n_copies += 1
        if _Aborts.n_copies > 2:
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


def raises() -> nn.Module:
    raise RuntimeError("no weights here")
