"""Model families by name, and what each can vary. Free of torch, so that any process may ask."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from explorer.errors import ModelError
from explorer.models.recipes import RECIPES


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model family can vary.

    min_width  the smallest width multiplier that its weights serve; the largest is 1.0
    n_stages   stages that may have a width of their own
    has_exits  whether it has early exits
    recipes    names of the training recipes
    shipped    data set -> name of the files in `explorer/models/weights/` with weights trained on it
    version    raised whenever weights of before do not fit, or would come out differently; part of the weights' key
    """

    min_width: float
    n_stages: int
    has_exits: bool
    recipes: tuple[str, ...]
    shipped: Mapping[str, str]
    version: int


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    module: str
    traits: Traits


_ALL = (
    _Family(
        "slimmable_cnn",
        "explorer.models.slimmable_cnn",
        Traits(
            min_width=0.25,
            n_stages=3,
            has_exits=True,
            recipes=tuple(RECIPES),
            shipped={"cifar10": "cifar10_slimmable_cnn"},
            version=2,
        ),
    ),
)

FAMILIES: Mapping[str, str] = {family.name: family.module for family in _ALL}
_TRAITS: Mapping[str, Traits] = {family.name: family.traits for family in _ALL}


def traits(name: str) -> Traits:
    """What the family `name` can vary. Raises ModelError for a name that is not registered."""
    if name not in _TRAITS:
        close = difflib.get_close_matches(name, _TRAITS, n=1)
        hint = f"did you mean '{close[0]}'" if close else f"known: {', '.join(_TRAITS)}"
        raise ModelError(f"expected a model family or 'package.module:function', got '{name}': {hint}.")
    return _TRAITS[name]
