"""Training checkpoints: one safetensors file with weights, momenta and position, written atomically."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from explorer.system import files


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a training run: steps done, their seconds, and the key of the weights."""

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

    Everything else follows from the seed and the step. Raises OSError.
    """
    tensors = {f"network.{name}": tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    if former is not None:
        tensors |= {f"former.{name}": tensor.contiguous() for name, tensor in former.state_dict().items()}
    for name, parameter in network.named_parameters():
        if (momentum := optimizer.state[parameter].get("momentum_buffer")) is not None:
            tensors[f"momentum.{name}"] = momentum.contiguous()
    files.write_bytes(path, safetensors.torch.save(tensors, metadata={"position": json.dumps(asdict(position))}))


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, key: str, former: nn.Module | None = None
) -> Position | None:
    """Fill network, optimizer and `former` from a checkpoint; None, and nothing changed, without a valid one for `key`.

    `former` is filled only if the checkpoint has one.
    """
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None  # after a damaged checkpoint training starts again
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


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
