"""The slimmable network: one set of weights, plain networks of every width that equal it."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from explorer.models.network import ResidualBlock, SlimmableNetwork, recalibrate
from explorer.models.slimmable_cnn import architecture_for, build, scale_channels

COLOR, DIGITS = (3, 32, 32), (1, 8, 8)
widths = st.one_of(st.floats(0.25, 1.0), st.tuples(st.floats(0.25, 1.0), st.floats(0.25, 1.0), st.floats(0.25, 1.0)))


def network_for(image_shape: tuple[int, int, int], seed: int = 0) -> SlimmableNetwork:
    torch.manual_seed(seed)
    network = build(10, image_shape, [120.0] * image_shape[0], [60.0] * image_shape[0])
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not name.endswith((".mean", ".scale")):
            tensor += 0.05 * torch.rand_like(tensor)  # no norm is the identity, no statistic the initial one
    return network


def images_of(image_shape: tuple[int, int, int], n: int = 4) -> torch.Tensor:
    return torch.randint(0, 256, (n, *image_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def mega_macs(network: nn.Module, image_shape: tuple[int, int, int]) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images_of(image_shape, 1))
    return counter.get_total_flops() / 2e6


@pytest.fixture(scope="module")
def evaluated() -> SlimmableNetwork:
    return network_for(DIGITS).eval()


@given(width=widths)
@settings(max_examples=10, deadline=None)
def test_materialize_any_width_equals_the_sliced_network_exactly(
    evaluated: SlimmableNetwork, width: float | tuple[float, ...]
) -> None:
    network, images = evaluated, images_of(DIGITS)
    plain = network.materialize(width)

    with torch.no_grad():
        for sliced, materialized in zip(network(images, width), plain(images), strict=True):
            assert torch.equal(sliced, materialized)


@pytest.mark.parametrize("width", [0.25, 0.5, (0.25, 1.0, 0.5)])
def test_materialize_in_training_mode_equals_the_sliced_network_on_batch_statistics(
    width: float | tuple[float, ...],
) -> None:
    network, images = network_for(COLOR).train(), images_of(COLOR)

    for sliced, materialized in zip(network(images, width), network.materialize(width).train()(images), strict=True):
        assert torch.equal(sliced, materialized)


def test_forward_of_a_narrow_width_leaves_the_running_statistics_alone() -> None:
    network = network_for(DIGITS).train()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}

    network(images_of(DIGITS), 0.5)

    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())


def test_forward_of_a_narrow_width_gives_gradients_to_the_leading_channels_only() -> None:
    network = network_for(DIGITS).train()

    sum(logits.sum() for logits in network(images_of(DIGITS), 0.5)).backward()

    gradient = network.widest.segments[1].body[0].second[0].weight.grad
    assert gradient[:32, :32].abs().sum() > 0
    assert gradient[32:].abs().sum() == 0
    assert gradient[:, 32:].abs().sum() == 0


def test_materialize_gives_a_plain_network_that_shares_no_memory() -> None:
    network = network_for(DIGITS)
    plain = network.materialize(1.0)
    before = network.materialize(1.0).state_dict()

    for parameter in plain.parameters():
        nn.init.zeros_(parameter)

    assert all(torch.equal(before[name], tensor) for name, tensor in network.widest.state_dict().items())
    assert not plain.training


@pytest.mark.parametrize("width", [0.2, 1.1, (0.5, 0.5), (0.5, 0.5, 0.1)])
def test_materialize_width_out_of_range_is_refused(width: float | tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"one width or three, each in \[0.25, 1\]"):
        network_for(DIGITS).materialize(width)


@pytest.mark.parametrize("image_shape", [COLOR, DIGITS, (3, 64, 64), (1, 28, 20), (3, 5, 7)])
def test_forward_any_image_shape_gives_three_exits(image_shape: tuple[int, int, int]) -> None:
    network = network_for(image_shape).eval()

    assert [list(logits.shape) for logits in network(images_of(image_shape), 0.25)] == [[4, 10]] * 3


@given(n=st.integers(1, 512), narrow=st.floats(0.25, 1.0), wide=st.floats(0.25, 1.0))
def test_scale_channels_is_a_multiple_of_8_and_grows_with_the_width(n: int, narrow: float, wide: float) -> None:
    narrow, wide = sorted((narrow, wide))

    assert scale_channels(n, wide) % 8 == 0
    assert 8 <= scale_channels(n, narrow) <= scale_channels(n, wide)
    assert abs(scale_channels(n, wide) - n * wide) <= max(4, 8 - n * wide)


@pytest.mark.parametrize("image_shape", [COLOR, DIGITS])
def test_architecture_channels_at_full_width_are_not_rounded(image_shape: tuple[int, int, int]) -> None:
    architecture = architecture_for(image_shape, 10)

    assert all(scale_channels(n, 1.0) == n for n in architecture.channels + architecture.exit_channels)


def test_network_for_color_images_has_the_promised_size() -> None:
    network = network_for(COLOR)

    assert 45 <= mega_macs(network.materialize(1.0), COLOR) <= 60
    assert mega_macs(network.materialize(0.5).without_exits(), COLOR) <= 12.5
    assert mega_macs(network.materialize(0.25), COLOR) <= 5


def test_plain_network_without_exits_is_one_segment_with_the_same_final_logits() -> None:
    plain = network_for(DIGITS).materialize(0.5)
    images = images_of(DIGITS)

    (final,) = plain.without_exits()(images)

    assert torch.equal(final, plain(images)[-1])


@torch.no_grad()
def test_segment_of_the_plain_network_exports_with_a_dynamic_batch() -> None:
    plain = network_for(DIGITS).materialize((0.5, 0.25, 1.0))
    inputs = images_of(DIGITS)
    for segment in plain.segments:
        program = torch.export.export(segment, (inputs,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        one = program.module(check_guards=False)(inputs[:1])
        assert (one if isinstance(one, torch.Tensor) else one[0]).shape == (1, 10)
        inputs = segment(inputs)[1] if segment is not plain.segments[-1] else inputs


@pytest.mark.filterwarnings("ignore:Unwrapped parameters detected")
def test_plain_network_is_prunable_by_its_dependency_graph() -> None:
    import torch_pruning

    plain = network_for(DIGITS).materialize(1.0)
    classifiers = [m for m in plain.modules() if isinstance(m, nn.Linear)]
    n_before = sum(p.numel() for p in plain.parameters())

    torch_pruning.pruner.BasePruner(
        plain,
        images_of(DIGITS),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=classifiers,
        round_to=8,
    ).step()
    recalibrate(plain, images_of(DIGITS), batch_size=4)

    assert sum(p.numel() for p in plain.parameters()) < 0.4 * n_before
    assert all(m.out_channels % 8 == 0 for m in plain.modules() if isinstance(m, nn.Conv2d))
    assert [list(logits.shape) for logits in plain(images_of(DIGITS))] == [[4, 10]] * 3


@pytest.mark.parametrize(("image_shape", "n_blocks"), [(COLOR, {2: 4, 1: 3, 0: 2}), (DIGITS, {2: 3, 1: 3, 0: 2})])
def test_materialize_depth_drops_the_last_blocks_of_each_stage(
    image_shape: tuple[int, int, int], n_blocks: dict[int, int]
) -> None:
    network, images = network_for(image_shape), images_of(image_shape)
    whole = dict(network.materialize(0.5).state_dict())
    for depth, n in n_blocks.items():
        plain = network.materialize(0.5, depth=depth)
        assert sum(isinstance(module, ResidualBlock) for module in plain.modules()) == n
        assert all(torch.equal(whole[name], tensor) for name, tensor in plain.state_dict().items())
        assert [list(logits.shape) for logits in plain(images)] == [[4, 10]] * 3


@pytest.mark.parametrize("depth", [-1, 3, 1.5])
def test_materialize_depth_out_of_range_is_refused(depth: float) -> None:
    with pytest.raises(ValueError, match="expected a depth of 0 to 2 blocks"):
        network_for(DIGITS).materialize(1.0, depth=depth)
