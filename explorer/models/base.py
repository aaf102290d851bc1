"""The base network: its weights in the cache, found, loaded or trained. Importing this does not import torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import filelock

from explorer.cache import cache_root
from explorer.errors import ModelError
from explorer.hashing import content_key
from explorer.models.recipes import RECIPES, Recipe
from explorer.models.registry import traits
from explorer.records import Progress, Width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from explorer.models.network import StagedNetwork
    from explorer.models.training_data import TrainingData

OnProgress = Callable[[Progress], None]

WEIGHTS = "weights.safetensors"
CARD = "card.json"


class Materialisable(Protocol):
    """What makes plain networks of a given width."""

    def materialise(self, width: Width) -> StagedNetwork:
        """A plain network of that width, in eval mode."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class BaseNetwork:
    """The trained network that every variant is made from.

    fingerprint  SHA-256 of its weights and architecture
    card         JSON-ready: how it was trained, and its accuracy on the validation images
    """

    name: str
    n_classes: int
    fingerprint: str
    card: Mapping[str, Any]
    network: Materialisable

    def materialise(self, width: Width) -> StagedNetwork:
        """A plain network of that width with copies of the weights, in eval mode.

        Its batch-norm statistics are those of width 1.0: recalibrate for any other. Raises ValueError for a width that
        the weights do not serve.
        """
        return self.network.materialise(width)


def recipe_named(name: str) -> Recipe:
    """The recipe of that name. Raises ModelError when there is none."""
    if name not in RECIPES:
        raise ModelError(f"expected a training recipe, one of {', '.join(RECIPES)}; got '{name}'.")
    return RECIPES[name]


def weights_key(family: str, data_fingerprint: str, splits_fingerprint: str, recipe: Recipe, seed: int) -> str:
    """The name of the weights that this family, data, split, recipe and seed give."""
    return content_key(
        {
            "family": family,
            "version": traits(family).version,
            "data": data_fingerprint,
            "splits": splits_fingerprint,
            "recipe": asdict(recipe),
            "seed": seed,
        }
    )


def find_weights(
    family: str, data_fingerprint: str, splits_fingerprint: str, recipe: str, seed: int = 0
) -> Path | None:
    """The folder of trained weights in the cache, or None. Raises ModelError for an unknown family or recipe."""
    folder = _folder(weights_key(family, data_fingerprint, splits_fingerprint, recipe_named(recipe), seed))
    return folder if (folder / WEIGHTS).is_file() and (folder / CARD).is_file() else None


def trained_cards(family: str, recipe: str) -> list[dict[str, Any]]:
    """The cards of all weights in the cache that this recipe gave this family, on whichever data."""
    cards = []
    for path in sorted((cache_root() / "weights").glob(f"*/{CARD}")):
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            facts = (card["family"], card["version"], card["recipe"]["name"])
            is_wanted = facts == (family, traits(family).version, recipe)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not a card that `load_or_train` would use either
        if is_wanted:
            cards.append(card)
    return cards


def load_or_train(model: str, data: TrainingData, recipe: str, on_progress: OnProgress, seed: int = 0) -> BaseNetwork:
    """The base network `model`: a family's, from the cache or trained now; or your own, "package.module:function".

    Training resumes where an earlier one stopped, and happens once, however many processes ask for it. Raises
    ModelError for a model that cannot be had, ExplorerError for weights in the cache that do not read.
    """
    if ":" in model:
        from explorer.models.own import load_own

        return load_own(model, data.n_classes, data.image_shape, data.mean, data.std)
    from explorer.models.store import load, train_into

    identity = (model, data.fingerprint, data.splits_fingerprint, recipe, seed)
    if (folder := find_weights(*identity)) is not None:
        return load(model, data, folder)
    key = weights_key(model, data.fingerprint, data.splits_fingerprint, recipe_named(recipe), seed)
    with _only_one(key, on_progress):
        if (folder := find_weights(*identity)) is None:
            folder = _folder(key)
            train_into(folder, model, data, recipe_named(recipe), seed, on_progress)
    return load(model, data, folder)


def fingerprint_of(network: nn.Module, made_of: Any) -> str:
    """SHA-256 of the JSON-ready `made_of` and of every parameter and buffer: name, shape, type and bytes."""
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _folder(key: str) -> Path:
    return cache_root() / "weights" / key


@contextmanager
def _only_one(key: str, on_progress: OnProgress) -> Iterator[None]:
    """Hold the lock of a key; say so while another process has it."""
    path = _folder(key).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    while True:
        try:
            lock.acquire(timeout=1.0)
            break
        except filelock.Timeout:
            on_progress(Progress("train", note="another process trains the same network; waiting for its weights"))
    try:
        yield
    finally:
        lock.release()
