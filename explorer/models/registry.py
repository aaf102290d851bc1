"""The registry of model families, the weights that come with the package, and the file of a user's own network."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from explorer.errors import ExplorerError, ModelError
from explorer.parameters import Numbers, ParameterSpec, check_specs, require_agreement
from explorer.space.values import FamilyTraits
from explorer.system.plugins import Registry

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Shipped:
    """Weights of the package: the bytes of a .safetensors file, and its card (JSON-ready)."""

    path: Path
    content: bytes
    card: Mapping[str, Any]


def shipped(model: str, dataset: str) -> Shipped:
    """Return the shipped weights of the family `model` for `dataset`, one of `shipped` in its traits.

    Raises ExplorerError when the files are missing or changed.
    """
    path = family_named(model).weights / f"{dataset}_{model}.safetensors"
    try:
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        content = path.read_bytes()
        expected = card["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExplorerError(f"the shipped weights {path} do not read ({error}): install the package again.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ExplorerError(
            f"the shipped weights {path} are damaged: expected the SHA-256 {expected}, got {found}; install the "
            "package again."
        )
    return Shipped(path, content, card)


def is_own(model: str) -> bool:
    """Return whether `model` is "package.module:function" of a user's own network."""
    return ":" in model


def source_file(model: str) -> Path | None:
    """Return the file that importing the module of "package.module:function" runs last; None where none is found.

    Searches as `explorer.models.own` does, the current directory first, but imports nothing: Python's own search would
    import the enclosing packages.
    """
    first, *rest = model.partition(":")[0].split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        return None
    places = [os.getcwd(), *sys.path]
    specs = (finder.find_spec(first, places) for finder in sys.meta_path)
    found: ModuleSpec | None = next((spec for spec in specs if spec is not None), None)
    for part in rest:
        inside = None if found is None else found.submodule_search_locations
        found = None if inside is None else PathFinder.find_spec(part, list(inside))
    return Path(found.origin) if found is not None and found.has_location and found.origin else None


@dataclass(frozen=True, slots=True)
class Family:
    """A model family, in a module whose import does not import torch.

    traits   its parameters, recipes, and data sets with trained weights
    version  from 1, raised whenever earlier weights do not fit, or would come out differently; part of the weights' key
    build    from (n_classes, image_shape, mean, std) to its network with fresh weights: a `Materializable` nn.Module
    weights  the folder of its trained weights
    """

    traits: FamilyTraits
    version: int
    build: Callable[[int, tuple[int, int, int], list[float], list[float]], Any]
    weights: Path = FOLDER

    def __post_init__(self) -> None:
        """Raise TypeError for a version that is no whole number from 1 on: it enters cache keys and cards as JSON."""
        if type(self.version) is not int or self.version < 1:
            raise TypeError(f"expected the family's version as a whole number from 1 on, got {self.version!r:.200}")

    @property
    def widths(self) -> Numbers:
        """The rule of its parameter `width`; 1.0 alone without one."""
        rules = (spec.allowed for spec in self.traits.parameters if spec.name == "width")
        return next((rule for rule in rules if isinstance(rule, Numbers)), Numbers(1, 1, n_stages=1))


FAMILIES = Registry("families", {"slimmable_cnn": "explorer.models.slimmable_cnn:FAMILY"})


_NO_EXITS = "this model has no early exits"


def width(minimum: float, n_stages: int, why: str = "the narrowest width of this model") -> ParameterSpec:
    """Return the parameter of the networks of `minimum` to all channels, of each stage by itself if so stated."""
    return ParameterSpec(
        name="width",
        phase="network",
        baseline=1.0,
        allowed=Numbers(minimum, 1, why_minimum=why, n_stages=n_stages),
        summary="Channels of every layer, relative to the base network. {per_stage: [0.5, 1.0]} chooses for each stage "
        "by itself.",
        example="[0.25, 0.5, 0.75, 1.0]",
    )


def exit_threshold(has_exits: bool = True) -> ParameterSpec:
    """Return the parameter of a network's early exits; without any, an input always takes the last one."""
    return ParameterSpec(
        name="exit_threshold",
        phase="artifact",
        baseline=1.0,
        allowed=Numbers(0, 1, is_open=True) if has_exits else Numbers(1, 1, why_minimum=_NO_EXITS),
        title="exit",
        summary="Confidence at which an image leaves through an early exit. 1.0: no early exit.",
        example="{min: 0.5, max: 1.0, step: 0.05}",
    )


OWN = FamilyTraits(parameters=(width(1.0, 1, "this model has only one width"), exit_threshold(has_exits=False)))
"""The traits of a user's own network: it is as it is."""


def declared() -> Iterator[tuple[ParameterSpec, bool]]:
    """Yield the parameters of every family that loads and of users' own networks, and whether they are built in."""
    for name, family in FAMILIES.survey(_made)[0].items():
        yield from ((spec, FAMILIES.is_built_in(name)) for spec in family.traits.parameters)
    yield from ((spec, True) for spec in OWN.parameters)


def traits_of(model: str) -> FamilyTraits:
    """Return the traits of a family, or of "package.module:function". Raises ModelError for another name."""
    return OWN if is_own(model) else family_named(model).traits


def family_named(name: str) -> Family:
    """Return the family `name`.

    Raises ModelError for a name that is not registered, NotAvailable for a plugin that does not load, or that has a
    parameter which contradicts another of its name.
    """
    if name not in FAMILIES:
        close = difflib.get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean '{close[0]}'" if close else f"known: {', '.join(FAMILIES)}"
        raise ModelError(f"expected a model family or 'package.module:function', got '{name}': {hint}.")
    family = _made(name)
    require_agreement(f"the family {name!r} of the package {FAMILIES.package(name)}", family.traits.parameters)
    return family


def _made(name: str) -> Family:
    return FAMILIES.make(name, Family, lambda made: check_specs(made.traits.parameters))
