"""The chain of stages: what runs, what comes from the cache, and what it does to a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from explorer.models.network import Normalize, StagedNetwork
from explorer.models.slimmable_cnn import build
from explorer.records import Variant
from explorer.variants.count import mega_macs, n_parameters
from explorer.variants.materialise import Workbench

SHAPE = (3, 16, 16)


class Base:
    def __init__(self, fingerprint: str = "base") -> None:
        torch.manual_seed(0)
        self.fingerprint = fingerprint
        self._network = build(10, SHAPE, [120.0] * 3, [60.0] * 3)

    def materialise(self, width):
        return self._network.materialise(width)


@pytest.fixture
def workbench(tmp_path, images):
    def make(base: Base | None = None, recovery_steps: int = 3) -> Workbench:
        return Workbench(base or Base(), images, "images", 10, recovery_steps, tmp_path / "networks", lambda _: None)

    return make


def names(bench: Workbench) -> list[str]:
    return [stage.name for stage in bench.stages]


def logits(network, images):
    with torch.no_grad():
        return torch.stack(network(torch.from_numpy(images[:8]))).numpy()


def test_materialise_plain_variant_twice_comes_from_the_cache_and_is_equal(workbench, images):
    bench = workbench()
    first = bench.materialise(Variant(width=0.5))
    assert names(bench) == ["width", "batch norm"]
    second = workbench().materialise(Variant(width=0.5, quantization="static_int8", runtime="onnxruntime"))
    assert second.key == first.key
    np.testing.assert_array_equal(logits(first.network, images), logits(second.network, images))


def test_materialise_pruned_variant_runs_every_stage_once(workbench):
    bench = workbench()
    bench.materialise(Variant(pruning_ratio=0.5))
    assert names(bench) == ["width", "prune", "recovery lessons", "recover", "batch norm"]
    bench.materialise(Variant(width=0.5, pruning_ratio=0.5))
    assert "recovery lessons" not in names(bench)
    bench.materialise(Variant(pruning_ratio=0.5))
    assert names(bench) == ["prune", "network"]
    assert all(stage.is_cached for stage in bench.stages)


def test_materialise_interrupted_after_pruning_goes_on_from_there(workbench):
    bench = workbench()
    bench.materialise(Variant(pruning_ratio=0.5))
    other = workbench(recovery_steps=2)
    other.materialise(Variant(pruning_ratio=0.5))
    assert names(other)[0] == "prune"
    assert other.stages[0].is_cached
    assert "recover" in names(other)


def test_materialise_ratio_that_removes_nothing_is_the_unpruned_network(workbench):
    bench = workbench()
    assert bench.materialise(Variant(width=0.25, pruning_ratio=0.01)).key == bench.materialise(Variant(width=0.25)).key


def test_materialise_other_weights_or_steps_have_other_keys(workbench):
    variant = Variant(pruning_ratio=0.5)
    keys = {
        workbench().materialise(variant).key,
        workbench(Base("other")).materialise(variant).key,
        workbench(recovery_steps=2).materialise(variant).key,
        workbench().materialise(Variant(pruning_ratio=0.4)).key,
    }
    assert len(keys) == 4


def test_materialise_recovery_moves_the_network_toward_the_teacher(workbench, images):
    """The whole point of the stage: with it, a pruned network is nearer to the base network's probabilities."""
    base = Base()
    teacher = torch.from_numpy(logits(workbench(base).materialise(Variant()).network, images)[-1]).softmax(1)

    def distance(steps: int) -> float:
        network = workbench(base, steps).materialise(Variant(width=0.5, pruning_ratio=0.5)).network
        return float((torch.from_numpy(logits(network, images)[-1]).softmax(1) - teacher).abs().mean())

    assert distance(100) < 0.75 * distance(0)


def test_materialise_twice_from_nothing_gives_the_same_weights(tmp_path, images):
    made = [
        Workbench(Base(), images, "images", 10, 3, tmp_path / str(run), lambda _: None).materialise(
            Variant(pruning_ratio=0.4)
        )
        for run in range(2)
    ]
    np.testing.assert_array_equal(logits(made[0].network, images), logits(made[1].network, images))


@pytest.mark.parametrize("width", [1.0, (1.0, 1.0, 1.0)])
def test_materialise_widest_network_unpruned_keeps_the_base_networks_statistics(workbench, images, width):
    base = Base()
    bench = workbench(base)
    made = bench.materialise(Variant(width=width))
    assert names(bench) == ["width"]
    np.testing.assert_array_equal(logits(made.network, images), logits(base.materialise(1.0), images))


def test_counts_cut_network_has_fewer_of_both():
    network = Base().materialise(0.5)
    cut = network.without_exits()
    assert n_parameters(cut) < n_parameters(network)
    assert sum(mega_macs(cut, SHAPE)) < sum(mega_macs(network, SHAPE))
    assert len(mega_macs(network, SHAPE)) == 3


def test_counts_known_layer_gives_its_known_macs():
    layers = nn.Sequential(
        Normalize([0.0] * 3, [1.0] * 3), nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(2048, 10)
    )
    (counted,) = mega_macs(StagedNetwork([layers]), SHAPE)
    assert counted == pytest.approx((8 * 3 * 9 * 256 + 2048 * 10) / 1e6)
