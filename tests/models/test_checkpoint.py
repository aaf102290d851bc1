"""Checkpoints: what was saved comes back, and a file that does not read starts anew."""

from pathlib import Path

import pytest
import torch
from torch import nn

from explorer.models.training import Position, load_checkpoint, save_checkpoint


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.randn(4, 2, 5, 5)).square().sum().backward()
    optimizer.step()
    return network, optimizer


def test_load_checkpoint_gives_back_weights_momenta_and_position(tmp_path: Path) -> None:
    network, optimizer = trained()
    save_checkpoint(tmp_path / "c", network, optimizer, Position(7, 1.5, "key"))
    other, other_optimizer = trained()

    assert load_checkpoint(tmp_path / "c", other, other_optimizer, "key") == Position(7, 1.5, "key")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        expected = optimizer.state[mine]["momentum_buffer"]
        assert torch.equal(expected, other_optimizer.state[theirs]["momentum_buffer"])


@pytest.mark.parametrize("content", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", b"not a checkpoint at all"])
def test_load_checkpoint_damaged_file_leaves_everything_as_it_was(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    network, optimizer = trained()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    assert load_checkpoint(tmp_path / "c", network, optimizer, "key") is None
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_load_checkpoint_of_another_run_or_none_is_not_used(tmp_path: Path) -> None:
    network, optimizer = trained()
    save_checkpoint(tmp_path / "c", network, optimizer, Position(7, 1.5, "key"))

    assert load_checkpoint(tmp_path / "c", network, optimizer, "other") is None
    assert load_checkpoint(tmp_path / "absent", network, optimizer, "key") is None
