"""Structured channel pruning: the channels with the least weight go, together with everything that depends on them."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from explorer.models.network import StagedNetwork

_CHANNEL_MULTIPLE = 8  # int8 and AVX kernels work on blocks of 8 channels; others waste the rest of a block


def prune(network: StagedNetwork, ratio: float, image_shape: tuple[int, ...], n_classes: int) -> StagedNetwork | None:
    """A copy of `network` without the least important `ratio` (in (0, 1)) of its channels; None if none can go.

    Channels that residual additions and heads tie together are judged and removed as one group, by the L2 norm of all
    their weights (DepGraph: Fang et al., CVPR 2023); what is left is a multiple of 8. All exits and classes are kept.
    `image_shape` is (c, h, w).
    """
    import torch_pruning

    pruned = copy.deepcopy(network).eval()
    classifiers = [m for m in pruned.modules() if isinstance(m, nn.Linear) and m.out_features == n_classes]
    before = _shapes(pruned)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # torch-pruning traces normalization constants and says that it will not prune them
        pruner = torch_pruning.pruner.BasePruner(
            pruned,
            torch.zeros((1, *image_shape), dtype=torch.uint8),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=0.0,
            pruning_ratio_dict={m: _rounded(ratio, n) for m, n in _output_channels(pruned) if m not in classifiers},
            ignored_layers=classifiers,
        )
        pruner.step()
    return None if _shapes(pruned) == before else pruned


def _output_channels(network: nn.Module) -> list[tuple[nn.Module, int]]:
    convolutions = [(m, m.out_channels) for m in network.modules() if isinstance(m, nn.Conv2d)]
    return convolutions + [(m, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]


def _rounded(ratio: float, n_channels: int) -> float:
    """The ratio nearest to `ratio` that leaves a multiple of 8 channels, at least 8.

    torch-pruning's own `round_to` rounds what is left down: a tenth of 16 channels would take half of them.
    """
    left = max(_CHANNEL_MULTIPLE, round(n_channels * (1 - ratio) / _CHANNEL_MULTIPLE) * _CHANNEL_MULTIPLE)
    if left >= n_channels:
        return 0.0
    return 1 - (left + 0.01) / n_channels  # torch-pruning truncates what it leaves: keep that clear of float error


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}
