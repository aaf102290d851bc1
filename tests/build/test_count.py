"""Memory by calculation, against networks whose bytes are counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from explorer.build.count import memory_bytes, n_parameters
from explorer.models.network import ExitSegment, Normalize, StagedNetwork
from explorer.models.slimmable_cnn import build

SHAPE = (3, 8, 8)
EXAMPLE = torch.zeros((1, *SHAPE), dtype=torch.uint8)
IMAGE, FLOATS = 192, 4 * 192


def convolution(n_in: int, n_out: int, kernel: int = 3, **settings: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False, **settings)


def single(*layers: nn.Module) -> StagedNetwork:
    return StagedNetwork([nn.Sequential(Normalize([0.0] * 3, [1.0] * 3), *layers)])


class Residual(nn.Module):
    """x + two convolutions of it."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(convolution(n, n), nn.BatchNorm2d(n), nn.ReLU(), convolution(n, n))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features) + features


def test_activations_are_the_input_and_output_of_the_largest_layer():
    made = memory_bytes(single(convolution(3, 16), nn.BatchNorm2d(16), nn.ReLU(), convolution(16, 2)), EXAMPLE)
    assert made.activations == 4 * 64 * (16 + 3)


def test_activations_residual_waits_beside_the_layer():
    made = memory_bytes(single(convolution(3, 16), Residual(16)), EXAMPLE)
    assert made.activations == 4 * 64 * 3 * 16


def test_activations_early_exit_does_not_free_the_features():
    head = nn.Sequential(convolution(4, 8), nn.Flatten(), nn.Linear(512, 10))
    body = nn.Sequential(Normalize([0.0] * 3, [1.0] * 3), convolution(3, 4))
    rest = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    network = StagedNetwork([ExitSegment(body, head), rest])
    assert memory_bytes(network, EXAMPLE).activations == 4 * 64 * (4 + 8) + 40
    assert len(memory_bytes(network, EXAMPLE).segments) == 2


def test_traffic_is_what_layers_read_and_write_and_an_addition_reads_both():
    made = memory_bytes(single(convolution(3, 16), Residual(16)), EXAMPLE)
    features = 4 * 64 * 16
    assert (
        sum(segment.traffic for segment in made.segments)
        == (IMAGE + FLOATS) + (FLOATS + features) + 2 * 2 * features + 3 * features
    )


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (convolution(3, 5), 4 * 27 * 64),
        (convolution(3, 5, stride=2), 4 * 27 * 16),
        (convolution(3, 6, groups=3), 4 * 27 * 64),
        (convolution(3, 5, kernel=1), 0),
        (convolution(3, 5, kernel=1, stride=2), 4 * 3 * 16),
        (nn.ConvTranspose2d(3, 5, 2, stride=2), 4 * 5 * 4 * 64),
        (nn.ReLU(), 0),
    ],
)
def test_workspace_is_the_unfolded_input(layer, expected):
    assert memory_bytes(single(layer), EXAMPLE).workspace == expected


@pytest.mark.parametrize(
    ("n_int8_layers", "expected"),
    [
        (0, 4 * (6 + 27 * 5 + 20 + 3210)),
        (2, 4 * (6 + 20 + 10) + 27 * 5 + 5 * 5 + 3200 + 5 * 10),
        (1, 4 * (6 + 27 * 5 + 20 + 10) + 3200 + 5 * 10),
    ],
)
def test_parameters_are_one_byte_a_weight_of_an_int8_layer(n_int8_layers, expected):
    network = single(convolution(3, 5), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(320, 10))
    assert memory_bytes(network, EXAMPLE, n_int8_layers).parameters == expected


def test_parameters_unknown_int8_layers_count_as_float32():
    network = single(convolution(3, 4), convolution(4, 4), nn.Flatten(), nn.Linear(256, 10))
    assert memory_bytes(network, EXAMPLE, 2) == memory_bytes(network, EXAMPLE, 0)


@pytest.mark.parametrize("width", [1.0, 0.25])
def test_memory_family_network_is_the_sum_of_its_parts_and_less_without_heads(width):
    network = build(10, (3, 32, 32), [120.0] * 3, [60.0] * 3).materialize(width)
    made, cut = (
        memory_bytes(each, torch.zeros((1, 3, 32, 32), dtype=torch.uint8))
        for each in (network, network.without_exits())
    )
    assert made.total == made.parameters + made.activations + made.workspace
    assert made.parameters == sum(segment.parameters for segment in made.segments)
    assert 4 * n_parameters(network) < made.parameters < 4.1 * n_parameters(network)
    assert cut.total < made.total
    assert sum(s.traffic for s in cut.segments) < sum(s.traffic for s in made.segments)


def test_memory_counting_leaves_the_network_as_it_was():
    network = single(convolution(3, 4), nn.BatchNorm2d(4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    memory_bytes(network, EXAMPLE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
