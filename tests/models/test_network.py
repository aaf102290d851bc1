"""Normalization inside the graph, and the chain of segments."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from explorer.models.network import Normalize, StagedNetwork, recalibrate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=0.3), nn.ReLU(), nn.Dropout(0.5))


class FromBytes(nn.Module):
    """uint8 images in, as the networks of this package take them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images.float())


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (n, 2, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@given(n_batches=st.integers(1, 5), batch_size=st.integers(2, 8))
@settings(max_examples=20, deadline=None)
def test_recalibrate_whole_batches_gives_the_mean_over_all_images(n_batches: int, batch_size: int) -> None:
    model, data = FromBytes(), images(n_batches * batch_size)
    recalibrate(model, data, batch_size)

    features = model.body[0](data.float())
    torch.testing.assert_close(model.body[1].running_mean, features.mean((0, 2, 3)))
    variances = [chunk.var((0, 2, 3)) for chunk in features.split(batch_size)]
    torch.testing.assert_close(model.body[1].running_var, torch.stack(variances).mean(0))


def test_recalibrate_forgets_what_was_there_and_repeats_exactly() -> None:
    model, data = FromBytes(), images(20)
    recalibrate(model, data, 8)
    once = {name: buffer.clone() for name, buffer in model.named_buffers()}
    recalibrate(model, images(20, seed=1), 8)
    recalibrate(model, data.numpy(), 8)

    assert all(torch.equal(once[name], buffer) for name, buffer in model.named_buffers())


def test_recalibrate_leaves_eval_mode_momentum_and_weights() -> None:
    model = FromBytes().train()
    weights = [parameter.clone() for parameter in model.parameters()]
    recalibrate(model, images(9), 4)

    assert not any(module.training for module in model.modules())
    assert model.body[1].momentum == 0.3
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_recalibrate_leaves_out_a_short_last_batch() -> None:
    short, whole = FromBytes(), FromBytes()
    recalibrate(short, images(9), 8)
    recalibrate(whole, images(9)[:8], 8)

    assert torch.equal(short.body[1].running_mean, whole.body[1].running_mean)


def test_recalibrate_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 inputs"):
        recalibrate(FromBytes(), images(1), 8)


def test_normalize_subtracts_the_mean_and_divides_by_the_deviation_of_each_channel() -> None:
    images = torch.tensor([[[[100]], [[200]]]], dtype=torch.uint8)

    normalized = Normalize([50.0, 100.0], [25.0, 200.0])(images)

    torch.testing.assert_close(normalized, torch.tensor([[[[2.0]], [[0.5]]]]))


def test_staged_network_gives_every_exits_logits_with_the_final_one_last() -> None:
    class WithExit(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images + 1, images * 10

    exits = StagedNetwork([WithExit(), WithExit(), nn.Identity()])(torch.tensor([1.0]))

    assert [float(logits) for logits in exits] == [2.0, 11.0, 100.0]
