"""The sandwich rule: which widths learn, and from what."""

import numpy as np
import torch

from explorer.models.network import SlimmableNetwork
from explorer.models.recipes import RECIPES
from explorer.models.sandwich import SoftTargets, add_gradients, other_widths
from explorer.models.slimmable_cnn import build


def network() -> SlimmableNetwork:
    torch.manual_seed(0)
    return build(3, (1, 8, 8), [120.0], [60.0]).train()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return images, torch.eye(3)[torch.arange(8) % 3]


def test_other_widths_are_the_narrowest_and_random_ones_of_both_kinds() -> None:
    rng = np.random.default_rng(0)
    drawn = [other_widths(2, 0.0, 0.25, 3, rng) for _ in range(50)]

    assert all(widths[0] == 0.25 and len(widths) == 3 for widths in drawn)
    singles = [w for widths in drawn for w in widths[1:] if isinstance(w, float)]
    tuples = [w for widths in drawn for w in widths[1:] if isinstance(w, tuple)]
    assert all(0.25 <= w <= 1.0 for w in [*singles, *(w for widths in tuples for w in widths)])
    assert 30 < len(singles) < 70
    assert all(len(widths) == 3 for widths in tuples)


def test_other_widths_favor_a_half_before_three_quarters() -> None:
    rng = np.random.default_rng(0)
    drawn = [width for _ in range(100) for width in other_widths(3, 0.6, 0.25, 3, rng)[1:]]

    halves, quarters = drawn.count(0.5), drawn.count(0.75)
    assert 150 < halves + quarters < 210
    assert halves > 1.5 * quarters
    assert set(other_widths(20, 1.0, 0.6, 3, rng)) == {0.6, 0.75}


def test_add_gradients_of_a_sandwich_is_the_sum_over_its_widths_with_a_fixed_teacher() -> None:
    images, targets = batch()
    recipe = RECIPES["default"]
    model = network()
    gradients = []
    for widths in ((0.25,), (0.5,), (0.25, 0.5), (1.0, 1.0)):
        model.zero_grad()
        add_gradients(model, images, targets, widths, recipe)
        gradients.append(model.widest.segments[2][0].second[0].weight.grad.clone())
    one, two, both, _ = gradients

    assert not torch.equal(one, two)
    # Both sandwiches hold the widest network's gradient once; a wrong (trained) teacher would break the sum.
    model.zero_grad()
    add_gradients(model, images, targets, (0.25, 0.25), recipe)
    twice = model.widest.segments[2][0].second[0].weight.grad
    torch.testing.assert_close(both - one, two - (2 * one - twice), rtol=0.05, atol=1e-3)


def test_add_gradients_reports_the_widest_networks_loss_and_hits() -> None:
    images, targets = batch()
    loss, n_right = add_gradients(network(), images, targets, (), RECIPES["default"])

    assert 0.5 < float(loss) < 5
    assert 0 <= int(n_right) <= 8


def test_add_gradients_narrow_widths_alone_reach_only_their_channels() -> None:
    images, targets = batch()
    model, wide_only = network(), network()
    add_gradients(model, images, targets, (0.25,), RECIPES["default"])
    add_gradients(wide_only, images, targets, (), RECIPES["default"])

    gradient = model.widest.segments[2][0].second[0].weight.grad
    alone = wide_only.widest.segments[2][0].second[0].weight.grad
    torch.testing.assert_close(gradient[24:], alone[24:], rtol=0.05, atol=1e-3)
    assert not torch.allclose(gradient[:24, :24], alone[:24, :24], rtol=0.05, atol=1e-3)


def test_soft_targets_mixed_with_targets_have_the_shares() -> None:
    soft = SoftTargets(torch.tensor([[0.2, 0.8]]), 0.75)
    assert torch.allclose(soft.mixed_with(torch.tensor([[1.0, 0.0]])), torch.tensor([[0.4, 0.6]]))


def test_add_gradients_with_soft_targets_of_no_share_is_without_them() -> None:
    images, targets = batch()
    model = network()
    gradients = []
    for soft in (None, SoftTargets(torch.full((8, 3), 1 / 3), 0.0), SoftTargets(torch.full((8, 3), 1 / 3), 0.5)):
        model.zero_grad()
        add_gradients(model, images, targets, (0.25,), RECIPES["default"], soft)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1])
    assert not torch.allclose(gradients[0], gradients[2])
