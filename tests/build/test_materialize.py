"""The chain of stages: what runs, what comes from the cache, and what it does to a network."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from explorer.build.count import mega_macs, n_parameters
from explorer.build.materialize import Workbench
from explorer.errors import VariantFailed
from explorer.models.network import Normalize, StagedNetwork
from explorer.models.slimmable_cnn import build
from explorer.records import Variant
from explorer.tasks.classification import Classification

SHAPE = (3, 16, 16)
EXAMPLE = torch.zeros((1, *SHAPE), dtype=torch.uint8)


class Base:
    n_outputs = 10

    def __init__(self, fingerprint: str = "base") -> None:
        torch.manual_seed(0)
        self.fingerprint = fingerprint
        self._network = build(10, SHAPE, [120.0] * 3, [60.0] * 3)

    def materialize(self, variant):
        return self._network.materialize(variant["width"], depth=variant["depth"])


@pytest.fixture
def workbench(tmp_path, images):
    def make(base: Base | None = None, recovery_steps: int = 3) -> Workbench:
        return Workbench(
            base or Base(), images, "images", Classification(), recovery_steps, tmp_path / "networks", lambda _: None
        )

    return make


def names(bench: Workbench) -> list[str]:
    return [stage.name for stage in bench.stages]


def logits(network, images):
    with torch.no_grad():
        return torch.stack(network(torch.from_numpy(images[:8]))).numpy()


def test_materialize_plain_variant_twice_comes_from_the_cache_and_is_equal(workbench, images):
    bench = workbench()
    first = bench.materialize(Variant(width=0.5))
    assert names(bench) == ["width", "batch norm"]
    second = workbench().materialize(Variant(width=0.5, quantization="static_int8", runtime="onnxruntime"))
    assert second.key == first.key
    np.testing.assert_array_equal(logits(first.network, images), logits(second.network, images))


def test_materialize_pruned_variant_runs_every_stage_once(workbench):
    bench = workbench()
    bench.materialize(Variant(pruning_ratio=0.5))
    assert names(bench) == ["width", "prune", "recovery lessons", "recover", "batch norm"]
    bench.materialize(Variant(width=0.5, pruning_ratio=0.5))
    assert "recovery lessons" not in names(bench)
    bench.materialize(Variant(pruning_ratio=0.5))
    assert names(bench) == ["network"]
    assert all(stage.is_cached for stage in bench.stages)


def test_materialize_interrupted_after_pruning_goes_on_from_there(workbench):
    bench = workbench()
    bench.materialize(Variant(pruning_ratio=0.5))
    other = workbench(recovery_steps=2)
    other.materialize(Variant(pruning_ratio=0.5))
    assert names(other)[0] == "prune"
    assert other.stages[0].is_cached
    assert "recover" in names(other)


def test_materialize_ratio_that_removes_nothing_fails_and_is_not_stored(workbench, tmp_path):
    with pytest.raises(
        VariantFailed, match=r"pruning_ratio 0.001 removes nothing: .* cannot be pruned, all \d+ of them .segments"
    ):
        workbench().materialize(Variant(width=0.25, pruning_ratio=0.001))
    assert not (tmp_path / "networks").exists()


def test_materialize_width_that_is_rounded_back_to_the_whole_network_fails(workbench):
    with pytest.raises(VariantFailed, match=r"width 0.99 leaves all \d+ parameters of width 1.0") as found:
        workbench().materialize(Variant(width=0.99))
    assert found.value.kind == "width without effect"


def test_materialize_pruned_has_the_effect_of_pruning(workbench):
    bench = workbench()
    made = bench.materialize(Variant(pruning_ratio=0.5))
    before, after = n_parameters(Base().materialize(Variant())), n_parameters(made.network)
    assert made.pruned["parameters"] == f"-{100 * (1 - after / before):.1f} %"
    assert bench.materialize(Variant(pruning_ratio=0.5)).pruned == made.pruned
    assert not bench.materialize(Variant(width=0.5)).pruned


class OwnBase(Base):
    """A user's network, as it is."""

    def __init__(self, *layers: nn.Module) -> None:
        self.fingerprint = "own"
        self._network = StagedNetwork(
            [nn.Sequential(Normalize([120.0] * 3, [60.0] * 3), nn.Sequential(*layers))]
        ).eval()

    def materialize(self, width):
        return copy.deepcopy(self._network)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [b, c, h, w]."""

    def forward(self, features):
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def own_base(*middle: nn.Module, first: nn.Module | None = None) -> OwnBase:
    torch.manual_seed(0)
    stem = nn.Conv2d(3, 32, 3, padding=1) if first is None else first
    return OwnBase(stem, *middle, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def test_materialize_frozen_network_is_pruned_and_recovered(workbench):
    base = own_base()
    base._network.requires_grad_(False)
    untouched = workbench(base, 0).materialize(Variant(pruning_ratio=0.5)).network
    made = workbench(base, 3).materialize(Variant(pruning_ratio=0.5)).network
    assert n_parameters(made) < n_parameters(base.materialize(Variant()))
    assert not any(torch.equal(a, b) for a, b in zip(made.parameters(), untouched.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in made.parameters())


def test_materialize_is_the_same_where_gradients_are_switched_off_for_the_whole_process(workbench, images):
    base = own_base()
    with torch.no_grad():
        made = workbench(base, 3).materialize(Variant(pruning_ratio=0.5)).network
    untouched = workbench(base, 0).materialize(Variant(pruning_ratio=0.5)).network
    assert not any(torch.equal(a, b) for a, b in zip(made.parameters(), untouched.parameters(), strict=True))


@pytest.mark.parametrize(
    "norm", [ChannelNorm(32), nn.GroupNorm(4, 32), nn.InstanceNorm2d(32, affine=True), nn.PReLU(32)], ids=repr
)
def test_materialize_pruned_network_comes_back_from_the_cache_whatever_its_layers_are(workbench, images, norm):
    base = own_base(norm)
    first = workbench(base).materialize(Variant(pruning_ratio=0.5))
    bench = workbench(base)
    second = bench.materialize(Variant(pruning_ratio=0.5, quantization="dynamic_int8"))
    assert names(bench) == ["network"]
    np.testing.assert_array_equal(logits(first.network, images), logits(second.network, images))


@pytest.mark.parametrize(
    "norm",
    [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm, nn.utils.spectral_norm],
    ids=["weight", "spectral", "spectral by a hook"],
)
@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_materialize_parametrized_weights_become_plain_ones(workbench, images, norm, ratio):
    base = own_base(first=norm(nn.Conv2d(3, 32, 3, padding=1)))
    made = workbench(base).materialize(Variant(pruning_ratio=ratio)).network
    assert {name.rpartition(".")[2] for name in made.state_dict()} == {"mean", "scale", "weight", "bias"}
    if ratio == 0.0:
        np.testing.assert_allclose(
            logits(made, images), logits(base.materialize(Variant()), images), rtol=1e-5, atol=1e-6
        )


def test_materialize_shared_weights_are_stored_and_stay_shared(workbench, images):
    first, second = nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
    second.weight = first.weight
    base = own_base(nn.ReLU(), first, nn.ReLU(), second)
    for ratio in (0.0, 0.5):
        made = workbench(base).materialize(Variant(pruning_ratio=ratio)).network
        kept = workbench(base).materialize(Variant(pruning_ratio=ratio)).network
        for network in (made, kept):
            ones = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
            assert ones[1].weight is ones[2].weight
        np.testing.assert_array_equal(logits(made, images), logits(kept, images))


def test_materialize_other_weights_or_steps_have_other_keys(workbench):
    variant = Variant(pruning_ratio=0.5)
    keys = {
        workbench().materialize(variant).key,
        workbench(Base("other")).materialize(variant).key,
        workbench(recovery_steps=2).materialize(variant).key,
        workbench().materialize(Variant(pruning_ratio=0.4)).key,
    }
    assert len(keys) == 4


def test_materialize_recovery_moves_the_network_toward_the_teacher(workbench, images):
    """The whole point of the stage: with it, a pruned network is nearer to the base network's probabilities."""
    base = Base()
    teacher = torch.from_numpy(logits(workbench(base).materialize(Variant()).network, images)[-1]).softmax(1)

    def distance(steps: int) -> float:
        network = workbench(base, steps).materialize(Variant(width=0.5, pruning_ratio=0.5)).network
        return float((torch.from_numpy(logits(network, images)[-1]).softmax(1) - teacher).abs().mean())

    assert distance(100) < 0.75 * distance(0)


def test_materialize_twice_from_nothing_gives_the_same_weights(tmp_path, images):
    made = [
        Workbench(Base(), images, "images", Classification(), 3, tmp_path / str(run), lambda _: None).materialize(
            Variant(pruning_ratio=0.4)
        )
        for run in range(2)
    ]
    np.testing.assert_array_equal(logits(made[0].network, images), logits(made[1].network, images))


@pytest.mark.parametrize("width", [1.0, (1.0, 1.0, 1.0)])
def test_materialize_widest_network_unpruned_keeps_the_base_networks_statistics(workbench, images, width):
    base = Base()
    bench = workbench(base)
    made = bench.materialize(Variant(width=width))
    assert names(bench) == ["width"]
    np.testing.assert_array_equal(logits(made.network, images), logits(base.materialize(Variant()), images))


def test_counts_cut_network_has_fewer_of_both():
    network = Base().materialize(Variant(width=0.5))
    cut = network.without_exits()
    assert n_parameters(cut) < n_parameters(network)
    assert sum(mega_macs(cut, EXAMPLE)) < sum(mega_macs(network, EXAMPLE))
    assert len(mega_macs(network, EXAMPLE)) == 3


def test_counts_known_layer_gives_its_known_macs():
    layers = nn.Sequential(
        Normalize([0.0] * 3, [1.0] * 3), nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(2048, 10)
    )
    (counted,) = mega_macs(StagedNetwork([layers]), EXAMPLE)
    assert counted == pytest.approx((8 * 3 * 9 * 256 + 2048 * 10) / 1e6)


def test_materialize_depth_is_recalibrated_and_pruned_like_any_other_width(workbench, images):
    bench = workbench()
    shallow = bench.materialize(Variant(depth=0))
    assert names(bench) == ["width", "batch norm"]
    both = bench.materialize(Variant(depth=0, width=0.5, pruning_ratio=0.5))
    sizes = [n_parameters(made.network) for made in (bench.materialize(Variant()), shallow, both)]
    assert sizes == sorted(set(sizes), reverse=True)
    again = workbench().materialize(Variant(depth=0))
    assert (again.key, again.network is shallow.network) == (shallow.key, False)
    np.testing.assert_array_equal(logits(again.network, images), logits(shallow.network, images))


class OfOneBlock(Base):
    """For images of 8 pixels a side, no stage has a second block."""

    def __init__(self) -> None:
        super().__init__()
        self._network = build(10, (3, 8, 8), [120.0] * 3, [60.0] * 3)


def test_materialize_depth_without_effect_fails(tmp_path):
    few = np.random.default_rng(0).integers(0, 256, (64, 3, 8, 8), dtype=np.uint8)
    bench = Workbench(OfOneBlock(), few, "images", 10, 0, tmp_path, lambda _: None)
    with pytest.raises(VariantFailed, match=r"depth 1 leaves all .* use depth: 2, or another value") as found:
        bench.materialize(Variant(depth=1, width=0.5))
    assert found.value.kind == "depth without effect"
