"""Checkpoints of a training run: one safetensors file with weights, momenta and position, whole or absent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from explorer import files


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: steps done, seconds they took, and the key of what is being trained."""

    step: int
    seconds: float
    key: str


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: Position,
    former: nn.Module | None = None,
) -> None:
    """Write a checkpoint atomically; `former` is an earlier state of the network that training still needs.

    All else that training depends on follows from the seed and the step.
    """
    tensors = {f"network.{name}": tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    if former is not None:
        tensors |= {f"former.{name}": tensor.contiguous() for name, tensor in former.state_dict().items()}
    for name, tensor in _momenta(network, optimizer).items():
        tensors[f"momentum.{name}"] = tensor.contiguous()
    files.write_bytes(path, safetensors.torch.save(tensors, metadata={"position": json.dumps(asdict(position))}))


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, key: str, former: nn.Module | None = None
) -> Position | None:
    """Fill network, optimizer and `former` from a checkpoint, the last as far as the checkpoint has one.

    None, and all untouched, if there is none for `key` that reads.
    """
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None  # a damaged checkpoint costs time, never the run: training starts anew
    if position.key != key:
        return None
    network.load_state_dict(_strip(tensors, "network."))
    if former is not None and (earlier := _strip(tensors, "former.")):
        former.load_state_dict(earlier)
    momenta = _strip(tensors, "momentum.")
    for name, parameter in network.named_parameters():
        if name in momenta:
            momentum = torch.empty_like(parameter, requires_grad=False).copy_(momenta[name])
            optimizer.state[parameter]["momentum_buffer"] = momentum
    return position


def _momenta(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    buffers = {name: optimizer.state[p].get("momentum_buffer") for name, p in network.named_parameters()}
    return {name: buffer for name, buffer in buffers.items() if buffer is not None}


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
