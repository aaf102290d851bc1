"""Pruning keeps exits and classes, rounds to eights, and takes the weakest channels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.models.network import Normalize, StagedNetwork
from explorer.models.slimmable_cnn import build
from explorer.variants.prune import prune

SHAPE = (3, 16, 16)


def network(width=1.0):
    torch.manual_seed(0)
    return build(10, SHAPE, [120.0] * 3, [60.0] * 3).materialise(width)


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("width", [1.0, 0.5, (0.25, 1.0, 0.5)])
@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6])
def test_prune_channels_are_the_nearest_multiple_of_eight(width, ratio):
    full = network(width)
    pruned = prune(full, ratio, SHAPE, 10)
    assert pruned is not None
    for before, after in zip(convolutions(full), convolutions(pruned), strict=True):
        expected = max(8, round(before.out_channels * (1 - ratio) / 8) * 8)
        assert after.out_channels == min(expected, before.out_channels)


def test_prune_network_still_answers_at_every_exit_and_the_original_is_untouched():
    full = network()
    before = {name: tensor.clone() for name, tensor in full.state_dict().items()}
    pruned = prune(full, 0.5, SHAPE, 10)
    assert [tuple(logits.shape) for logits in pruned(torch.zeros(2, *SHAPE, dtype=torch.uint8))] == [(2, 10)] * 3
    assert sum(p.numel() for p in pruned.parameters()) < 0.4 * sum(p.numel() for p in full.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in full.state_dict().items())


def test_prune_nothing_to_take_is_none():
    assert prune(network(0.25), 0.01, SHAPE, 10) is None


def test_prune_takes_the_channels_with_the_least_weight():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 16, 3, bias=False), nn.Conv2d(16, 16, 3, bias=False)
    with torch.no_grad():
        first.weight[3:11] *= 1e-3
        second.weight[:, 3:11] *= 1e-3
    plain = StagedNetwork(
        [
            nn.Sequential(
                Normalize([0.0] * 3, [1.0] * 3), first, nn.ReLU(), second, nn.Flatten(), nn.Linear(16 * 144, 10)
            )
        ]
    )
    pruned = prune(plain, 0.5, SHAPE, 10)
    kept = torch.cat([first.weight[:3], first.weight[11:]])
    assert torch.equal(convolutions(pruned)[0].weight, kept)
