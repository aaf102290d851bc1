"""Networks come back from the disk as they went, and a damaged one does not come back."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from explorer.build.network_store import load_network, store_network
from explorer.build.prune import prune
from explorer.models.network import Normalize, StagedNetwork
from explorer.models.slimmable_cnn import build

SHAPE = (3, 16, 16)
IMAGES = torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def outline():
    torch.manual_seed(1)
    return build(10, SHAPE, [120.0] * 3, [60.0] * 3).materialize(0.5)


@pytest.fixture
def pruned():
    return prune(outline(), 0.4, torch.zeros((2, *SHAPE), dtype=torch.uint8))


def test_load_network_pruned_gives_the_same_logits(tmp_path, pruned):
    store_network(pruned, tmp_path / "stored", IMAGES)
    loaded = load_network(outline(), tmp_path / "stored")
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
        first = nn.Sequential(Normalize([120.0] * 3, [60.0] * 3), nn.Conv2d(3, n, 1))
        return StagedNetwork([nn.Sequential(first, nn.Conv2d(n, n, 3, groups=n), nn.BatchNorm2d(n))]).eval()

    narrow = depthwise(8)
    store_network(narrow, tmp_path / "stored", IMAGES)
    loaded = load_network(depthwise(16), tmp_path / "stored")
    with torch.no_grad():
        assert torch.equal(loaded(IMAGES)[0], narrow(IMAGES)[0])


def test_load_network_missing_is_none(tmp_path):
    assert load_network(outline(), tmp_path / "nowhere") is None


def test_load_network_truncated_is_none(tmp_path, pruned):
    store_network(pruned, tmp_path / "stored", IMAGES)
    file = tmp_path / "stored" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert load_network(outline(), tmp_path / "stored") is None


def test_load_network_with_other_outputs_than_the_stored_one_is_none(tmp_path, pruned):
    store_network(pruned, tmp_path / "stored", IMAGES)
    changed = load_file(tmp_path / "stored" / "weights.safetensors")
    save_file({name: tensor * 1.5 for name, tensor in changed.items()}, tmp_path / "stored" / "weights.safetensors")
    assert load_network(outline(), tmp_path / "stored") is None


def test_load_network_of_another_architecture_is_none(tmp_path, pruned):
    store_network(pruned, tmp_path / "stored", IMAGES)
    other = StagedNetwork([nn.Sequential(Normalize([0.0] * 3, [1.0] * 3), nn.Flatten(), nn.Linear(768, 10))])
    assert load_network(other, tmp_path / "stored") is None


def test_store_network_replaces_a_damaged_one(tmp_path, pruned):
    store_network(pruned, tmp_path / "stored", IMAGES)
    (tmp_path / "stored" / "sizes.json").write_text("{", encoding="utf-8")
    assert load_network(outline(), tmp_path / "stored") is None
    store_network(pruned, tmp_path / "stored", IMAGES)
    assert load_network(outline(), tmp_path / "stored") is not None
