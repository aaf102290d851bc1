"""Weights that come with the package: read, written, and refused for images that they were trained on.

Indices and file hashes do not identify images: the same CIFAR-10 image is a row of an archive or a JPEG file. So the
weights come with a coarse signature, which recompression does not change, of each image held out of their training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save
from torch import nn

from explorer.errors import ExplorerError, UsageError
from explorer.models.base import BaseNetwork, TrainingData
from explorer.models.registry import shipped
from explorer.models.store import fingerprint_of, untrained
from explorer.system import files

_HELD_OUT = "held_out"  # the name of a tensor, beside those of the network
_TOLERANCE = 8  # of 255: JPEG changes a quarter's mean by a level or two, while other images differ by more
_FEWEST_KNOWN = 0.99


def signatures(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean color of each quarter of each image: uint8 [n, c, h, w], h and w at least 2 -> uint8 [n, 4 c]."""
    n, c, h, w = images.shape
    quarters = images[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, 2, h // 2, 2, w // 2)
    found: NDArray[np.uint8] = quarters.mean((3, 5)).round().astype(np.uint8).reshape(n, -1)
    return found


def check_held_out(held_out: NDArray[np.uint8], validation_images: NDArray[np.uint8]) -> None:
    """Raise UsageError unless 99 % of `validation_images` [n, c, h, w] have their signature in `held_out` [m, 4 c]."""
    known = held_out[np.argsort(held_out[:, 0])].astype(np.int16)
    wanted = signatures(validation_images).astype(np.int16)
    # Only signatures with a near first value are compared: a tenth, 0.1 s instead of 1 s for 5,000 images.
    first = np.searchsorted(known[:, 0], wanted[:, 0] - _TOLERANCE, side="left")
    last = np.searchsorted(known[:, 0], wanted[:, 0] + _TOLERANCE, side="right")
    n_known = sum(
        bool((np.abs(known[start:stop] - one).max(1) <= _TOLERANCE).any())
        for one, start, stop in zip(wanted, first, last, strict=True)
        if start < stop
    )
    if n_known < _FEWEST_KNOWN * len(wanted):
        raise UsageError(
            f"the shipped weights were trained on {len(wanted) - n_known} of this study's {len(wanted)} validation "
            f"images, which would flatter every accuracy: set data.validation to at most {len(held_out)}, or replace "
            "'weights: shipped' by 'recipe: default' to train a network for this split"
        )


def load_shipped(model: str, dataset: str, data: TrainingData) -> BaseNetwork:
    """Return the base network of the shipped weights for `dataset`, stored in float16, as float32.

    Raises UsageError when they were trained on validation images of `data`, ExplorerError when they cannot be read.
    """
    files_of = shipped(model, dataset)
    network = untrained(model, data, seed=0)
    try:
        tensors = parse(files_of.content)
        held_out = tensors.pop(_HELD_OUT).numpy()
        network.load_state_dict(tensors)
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise ExplorerError(
            f"the shipped weights {files_of.path} do not read ({error}): install the package again."
        ) from error
    check_held_out(held_out, data.validation_inputs)
    return BaseNetwork(model, data.n_outputs, fingerprint_of(model, network), files_of.card, network.eval())


def write_shipped(folder: Path, name: str, base: BaseNetwork, data: TrainingData, facts: Mapping[str, Any]) -> None:
    """Write a trained `base` as `load_shipped` reads it: `<name>.safetensors`, and `<name>.json` with its SHA-256.

    Kernels and matrices become float16. The card is that of `base` with `facts` added; `data` is the training data.
    """
    network = cast(nn.Module, base.network)
    large = {name for name, parameter in network.named_parameters() if parameter.ndim > 1}
    state = network.state_dict().items()
    tensors = {key: (tensor.half() if key in large else tensor).contiguous() for key, tensor in state}
    content = save({**tensors, _HELD_OUT: torch.from_numpy(signatures(data.validation_inputs))})
    card = {**facts, **base.card, "sha256": hashlib.sha256(content).hexdigest()}
    files.write_bytes(folder / f"{name}.safetensors", content)
    files.write_json(folder / f"{name}.json", card)
