"""Networks come back from the disk as they went, and a damaged one does not come back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.models.network import StagedNetwork
from explorer.models.slimmable_cnn import build
from explorer.variants.prune import prune
from explorer.variants.stored import load_network, store_network

SHAPE = (3, 16, 16)
IMAGES = torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def outline():
    torch.manual_seed(1)
    return build(10, SHAPE, [120.0] * 3, [60.0] * 3).materialise(0.5)


@pytest.fixture
def pruned():
    return prune(outline(), 0.4, SHAPE, 10)


def test_load_network_pruned_gives_the_same_logits(tmp_path, pruned):
    store_network(pruned, tmp_path / "kept")
    loaded = load_network(outline(), tmp_path / "kept")
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(loaded(IMAGES), pruned(IMAGES), strict=True))
    layers = zip(loaded.modules(), pruned.modules(), strict=True)
    assert all(
        (a.in_channels, a.out_channels) == (b.in_channels, b.out_channels)
        for a, b in layers
        if isinstance(a, nn.Conv2d)
    )


def test_load_network_grouped_convolution_keeps_its_groups(tmp_path):
    def depthwise(n: int) -> StagedNetwork:
        return StagedNetwork([nn.Sequential(nn.Conv2d(n, n, 3, groups=n), nn.BatchNorm2d(n))]).eval()

    narrow = depthwise(8)
    store_network(narrow, tmp_path / "kept")
    loaded = load_network(depthwise(16), tmp_path / "kept")
    x = torch.rand(1, 8, 5, 5)
    with torch.no_grad():
        assert torch.equal(loaded.segments[0](x), narrow.segments[0](x))


def test_load_network_missing_is_none(tmp_path):
    assert load_network(outline(), tmp_path / "nowhere") is None


def test_load_network_truncated_is_none(tmp_path, pruned):
    store_network(pruned, tmp_path / "kept")
    file = tmp_path / "kept" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert load_network(outline(), tmp_path / "kept") is None
