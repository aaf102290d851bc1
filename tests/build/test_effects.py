"""What a transformation was to do is checked: a network that is as it was does not pass for another one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from explorer.build.effects import (
    Sizes,
    check_changed,
    check_outputs,
    check_pruned,
    check_recovered,
    pruning_facts,
    some_of,
)
from explorer.errors import VariantFailed
from explorer.models.network import Normalize, StagedNetwork

IMAGES = torch.zeros((2, 1, 4, 4), dtype=torch.uint8)


def layers(hidden: int, n_classes: int = 10) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, n_classes))


def network(module: nn.Module) -> StagedNetwork:
    return StagedNetwork([nn.Sequential(Normalize([0.0], [1.0]), module)])


def test_check_changed_fewer_parameters_is_fine():
    check_changed(network(layers(8)), network(layers(16)), IMAGES, "width", 0.5)


def test_check_changed_other_outputs_of_the_same_layers_are_fine():
    before, after = network(layers(8)), network(layers(8))
    with torch.no_grad():
        after.segments[0][1][3].bias += 1
    check_changed(after, before, IMAGES, "width", 0.5)


@pytest.mark.parametrize(("width", "text"), [(0.9, "width 0.9"), ((1.0, 0.9, 1.0), "width 1 0.9 1")])
def test_check_changed_the_same_network_fails_and_names_the_layers(width, text):
    with pytest.raises(VariantFailed, match=f"{text} leaves all 442 parameters .*1, 3.*use width: 1.0") as found:
        check_changed(network(layers(16)), network(layers(16)), IMAGES, "width", width)
    assert found.value.kind == "width without effect"


def test_check_pruned_smaller_layers_are_fine_and_counted():
    before, after = Sizes.of(network(layers(16))), Sizes.of(network(layers(8)))
    check_pruned(before, after, 0.5)
    assert pruning_facts(before, after) == {"layers": "2 of 2", "parameters": f"-{100 * (1 - 226 / 442):.1f} %"}


@pytest.mark.parametrize("hidden", [16, 24])
def test_check_pruned_as_large_or_larger_fails(hidden):
    with pytest.raises(VariantFailed, match="cannot be pruned") as found:
        check_pruned(Sizes.of(layers(16)), Sizes.of(layers(hidden)), 0.5)
    assert found.value.kind == "nothing pruned"


def test_check_recovered_changed_parameters_are_fine():
    with torch.no_grad():
        after = layers(8)
        after[1].weight += 0.1
    check_recovered(layers(8), after)


def test_check_recovered_unchanged_parameters_fail():
    with pytest.raises(VariantFailed, match="changed none of 4 parameters"):
        check_recovered(layers(8), layers(8))


def test_check_recovered_nan_fails():
    after = layers(8)
    with torch.no_grad():
        after[1].weight[0, 0] = float("nan")
    with pytest.raises(VariantFailed, match="not finite"):
        check_recovered(layers(8), after)


class Infinite(nn.Module):
    """Gives infinite logits."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 10), torch.inf)


def test_check_outputs_all_classes_and_finite_is_fine():
    check_outputs(network(layers(8)), IMAGES, 10, "pruning")


@pytest.mark.parametrize(
    ("module", "wrong"), [(layers(8, 8), r"shape \[2, 8\], expected \[2, 10\]"), (Infinite(), "not finite")]
)
def test_check_outputs_lost_classes_or_infinity_fail(module, wrong):
    with pytest.raises(VariantFailed, match=f"after pruning by 0.5 the network gives .*{wrong}"):
        check_outputs(network(module), IMAGES, 10, "pruning by 0.5")


def test_some_of_many_names_has_the_number_of_others():
    assert some_of([f"segments.0.1.layer{n}" for n in range(6)]) == "layer0, layer1, layer2, layer3 and 2 more"
