"""Normalization inside the graph, and the chain of segments."""

import torch
from torch import nn

from explorer.models.network import Normalize, StagedNetwork


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
