"""Plain networks on the disk: weights as safetensors, laid into an outline whose layers take the weights' sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from explorer.files import new_folder, write_bytes, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models.network import StagedNetwork

_WEIGHTS, _GROUPS = "weights.safetensors", "groups.json"


def store_network(network: StagedNetwork, folder: Path) -> None:
    """Write `network` as `folder`, whole or not at all. Raises OSError."""
    groups = {name: m.groups for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    with new_folder(folder) as draft:
        # safetensors' own writer says of a full disk what is no OSError
        write_bytes(draft / _WEIGHTS, save({name: t.contiguous() for name, t in network.state_dict().items()}))
        write_json(draft / _GROUPS, groups)


def load_network(outline: StagedNetwork, folder: Path) -> StagedNetwork | None:
    """Fill `outline` (which is changed) with what `store_network` wrote; None when `folder` does not hold that, whole.

    The outline has the stored network's modules; their channel counts may differ.
    """
    try:
        tensors = load_file(folder / _WEIGHTS)
        groups = json.loads((folder / _GROUPS).read_text(encoding="utf-8"))
    except (OSError, SafetensorError, ValueError):
        return None
    for name, module in outline.named_modules():
        _resize(module, _own(name, tensors), groups.get(name, 1))
    outline.load_state_dict(tensors)
    return outline.eval()


def _own(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{name}." if name else ""
    return {key[len(prefix) :]: t for key, t in tensors.items() if key.rpartition(".")[0] == name}


def _resize(module: nn.Module, tensors: dict[str, Tensor], groups: int) -> None:
    """Give a layer, and the parameters and buffers that it holds itself, the sizes of `tensors`."""
    for key, tensor in tensors.items():
        held = getattr(module, key)
        if held.shape != tensor.shape:
            held.data = held.data.new_empty(tensor.shape)
    if isinstance(module, nn.Conv2d):
        weight = tensors["weight"]
        module.groups, module.out_channels, module.in_channels = groups, weight.shape[0], weight.shape[1] * groups
    elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
        module.num_features = tensors["running_mean"].shape[0]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = tensors["weight"].shape
