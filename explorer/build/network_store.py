"""Plain networks on the disk: weights as safetensors, loaded into an outline whose layers take the weights' sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from explorer.build.effects import outputs_of
from explorer.system.files import new_folder, write_bytes, write_json

if TYPE_CHECKING:
    from torch import Tensor, nn

    from explorer.models.network import StagedNetwork

_WEIGHTS, _SAMPLE, _SIZES = "weights.safetensors", "sample.safetensors", "sizes.json"
# Attributes that torch-pruning changes besides tensors.
_ATTRIBUTES = (
    *("in_channels", "out_channels", "groups", "in_features", "out_features"),
    *("num_features", "num_channels", "normalized_shape", "num_parameters"),
    *("embedding_dim", "embed_dim", "kdim", "vdim", "head_dim", "input_size", "hidden_size"),
)
_TOLERANCE = 1e-3  # relative to the largest logit: another processor, or number of threads, rounds differently


def store_network(network: StagedNetwork, folder: Path, inputs: Tensor) -> None:
    """Write `network` as `folder`, atomically, with its outputs for `inputs` [b, ...].

    An existing folder is replaced, since `load_network` found it invalid. Raises OSError.
    """
    sizes = {name: found for name, module in network.named_modules() if (found := _attributes(module))}
    outputs = {f"exit {number}": output.contiguous() for number, output in enumerate(outputs_of(network, inputs))}
    # Layers may share a tensor, which safetensors refuses: each gets a copy.
    weights = {name: t.detach().clone().contiguous() for name, t in network.state_dict().items()}
    with new_folder(folder, is_replacing=True) as draft:
        # safetensors' own writer does not raise OSError for a full disk
        write_bytes(draft / _WEIGHTS, save(weights))
        write_bytes(draft / _SAMPLE, save({"inputs": inputs.contiguous(), **outputs}))
        write_json(draft / _SIZES, sizes)


def load_network(outline: StagedNetwork, folder: Path) -> StagedNetwork | None:
    """Fill `outline` (in place) from a folder of `store_network`; None when the folder is absent or invalid.

    The outline has the stored network's modules; their channel counts may differ. The loaded network must reproduce the
    stored outputs for the sample inputs.
    """
    try:
        tensors, sample = load_file(folder / _WEIGHTS), load_file(folder / _SAMPLE)
        sizes = json.loads((folder / _SIZES).read_text(encoding="utf-8"))
        _fill(outline, tensors, sizes)
        return outline if _reproduces(outline, sample) else None
    except OSError:
        return None
    except (SafetensorError, ValueError, LookupError, AttributeError, TypeError, RuntimeError):
        return None  # damaged, or of another network


def _fill(outline: StagedNetwork, tensors: dict[str, Tensor], sizes: Mapping[str, Mapping[str, Any]]) -> None:
    for name, held in outline.state_dict(keep_vars=True).items():
        if held.shape != tensors[name].shape:
            held.data = held.data.new_empty(tensors[name].shape)
    for name, module in outline.named_modules():
        own = _attributes(module)
        for key, value in sizes.get(name, {}).items():
            if own.get(key) != value:
                setattr(module, key, tuple(value) if isinstance(value, list) else value)
    outline.load_state_dict(tensors)


def _attributes(module: nn.Module) -> dict[str, Any]:
    """Return the sizes that a module has as attributes, JSON-ready: integers, and lists of them."""
    found = {name: vars(module)[name] for name in _ATTRIBUTES if name in vars(module)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    return {name: v for name, v in plain.items() if all(type(n) is int for n in (v if isinstance(v, list) else [v]))}


def _reproduces(network: StagedNetwork, sample: Mapping[str, Tensor]) -> bool:
    """Return whether the network gives the stored outputs for the sample's inputs."""
    made = outputs_of(network, sample["inputs"])
    expected = [sample[f"exit {number}"] for number in range(len(made))]
    return len(sample) == len(made) + 1 and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE * float(b.abs().max()))
        for a, b in zip(made, expected, strict=True)
    )
