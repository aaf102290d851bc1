"""The base network and the examples that it is trained on; its weights in the cache. Does not import torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from explorer.errors import ModelError
from explorer.models.recipes import RECIPES, Recipe
from explorer.models.registry import family_named, traits_of
from explorer.records import Progress
from explorer.system.hashing import cache_root, content_key
from explorer.tasks.task import DEFAULT_TASK

if TYPE_CHECKING:
    from explorer.models.identity import Description
    from explorer.models.network import StagedNetwork

OnProgress = Callable[[Progress], None]

WEIGHTS = "weights.safetensors"
CARD = "card.json"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The training and validation examples of one data set, without its test examples.

    inputs, validation_inputs    [n, ...]; images are uint8 [n, c, h, w]
    targets, validation_targets  [n, ...]; classes are integers [n] in [0, n_outputs)
    mean, std                    of the input normalization, per channel, of images on the 0-255 scale: those of the
                                 training examples, unless a user's own network is normalized otherwise
    fingerprint                  of the data set; `splits_fingerprint` of how it was split
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    validation_inputs: NDArray[Any]
    validation_targets: NDArray[Any]
    n_outputs: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    splits_fingerprint: str
    task: str = DEFAULT_TASK

    def __post_init__(self) -> None:
        for inputs, targets in ((self.inputs, self.targets), (self.validation_inputs, self.validation_targets)):
            if len(inputs) != len(targets) or len(inputs) == 0:
                raise ValueError(
                    f"expected as many inputs as targets, at least one, got {len(inputs)} and {len(targets)}."
                )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(c, h, w). Raises ValueError for inputs that are no images."""
        if self.inputs.dtype != np.uint8 or self.inputs.ndim != 4:
            shape = list(self.inputs.shape)
            raise ValueError(f"expected uint8 images [n, c, h, w], got {self.inputs.dtype} {shape}.")
        _, channels, height, width = self.inputs.shape
        return channels, height, width


class Materializable(Protocol):
    """The interface of a family's network: the plain network of any of its variants.

    `materialize` takes the family's parameters of the phase "network" by name; without any, it is the baseline's.
    """

    @property
    def materialize(self) -> Callable[..., StagedNetwork]:
        """Return a plain network of these values, in eval mode."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class BaseNetwork:
    """The trained network that every variant is made from.

    fingerprint  SHA-256 of its weights and architecture, or of its description
    card         JSON-ready: how it was trained, and its accuracy on the validation examples
    description  of a user's own network; None for a family, whose weights suffice
    """

    name: str
    n_outputs: int
    fingerprint: str
    card: Mapping[str, Any]
    network: Materializable
    description: Description | None = None

    def materialize(self, variant: Mapping[str, Any]) -> StagedNetwork:
        """Return the unpruned plain network of a variant with copies of the weights, in eval mode.

        Its batch-norm statistics are those of the baseline: recalibrate for any other. Raises ValueError for values
        that the weights do not support.
        """
        specs = traits_of(self.name).parameters
        return self.network.materialize(**{spec.name: variant[spec.name] for spec in specs if spec.phase == "network"})


def recipe_named(name: str) -> Recipe:
    """Return the recipe of that name. Raises ModelError when there is none."""
    if name not in RECIPES:
        raise ModelError(f"expected a training recipe, one of {', '.join(RECIPES)}; got '{name}'.")
    return RECIPES[name]


def weights_key(family: str, data_fingerprint: str, splits_fingerprint: str, recipe: Recipe, seed: int) -> str:
    """Return the cache key of the weights that this family, data, split, recipe and seed give."""
    return content_key(
        {
            "family": family,
            "version": family_named(family).version,
            "data": data_fingerprint,
            "splits": splits_fingerprint,
            "recipe": asdict(recipe),
            "seed": seed,
        }
    )


def trained_shapes(family: str, recipe: str) -> list[list[int]]:
    """Return the shapes (c, h, w) of the images that cached weights of this family and recipe were trained on."""
    shapes = []
    for path in sorted((cache_root() / "weights").glob(f"*/{CARD}")):
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            facts = (card["family"], card["version"], card["recipe"]["name"])
            shape = card["image_shape"]
            is_wanted = facts == (family, family_named(family).version, recipe)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # invalid for `load_or_train` as well
        if is_wanted:
            shapes.append(shape)
    return shapes


def weights_folder(key: str) -> Path:
    """Return the cache folder of the weights of that key."""
    return cache_root() / "weights" / key


def has_weights(folder: Path) -> bool:
    """Return whether a folder has trained weights and their card."""
    return (folder / WEIGHTS).is_file() and (folder / CARD).is_file()
