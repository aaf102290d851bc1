"""Read a search space: file, text, tree, checked sections, frozen values."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pydantic import ValidationError

from explorer.environment import usable_cores
from explorer.records import Variant
from explorer.space.document import parse_document
from explorer.space.overrides import Overrides, overridden
from explorer.space.rules import Rules, model_traits
from explorer.space.schema import SpaceSection
from explorer.space.source import Source, checked_text, read_source
from explorer.space.translate import first_error
from explorer.space.values import (
    DataSettings,
    DeviceSettings,
    FamilyTraits,
    Parameter,
    SearchSettings,
    SearchSpace,
    Vocabulary,
)

__all__ = ["Overrides", "load_space", "parse_space"]


def load_space(
    path: Path, vocabulary: Vocabulary, overrides: Overrides | None = None, *, max_threads: int | None = None
) -> SearchSpace:
    """The search space of a YAML file, with the command line's overrides.

    `max_threads` None: as many as there are cores that can work for this process. A reader of a study that was made
    elsewhere passes the study's. Raises SpaceError (`file:line:column: sentence`, the line, a caret, the nearest
    name) for the first thing in the file that is wrong, and UsageError, naming the flag, for an override.
    """
    return _resolve(read_source(path), vocabulary, overrides, max_threads)


def parse_space(
    text: str,
    vocabulary: Vocabulary,
    overrides: Overrides | None = None,
    *,
    name: str = "<text>",
    max_threads: int | None = None,
) -> SearchSpace:
    """As `load_space`, for a text that errors call `name`."""
    return _resolve(checked_text(name, text), vocabulary, overrides, max_threads)


def _resolve(
    source: Source, vocabulary: Vocabulary, overrides: Overrides | None, max_threads: int | None
) -> SearchSpace:
    root = parse_document(source)
    traits = model_traits(root.value.get("model") if isinstance(root.value, dict) else None, vocabulary)
    rules = Rules(vocabulary, traits, usable_cores() if max_threads is None else max_threads)
    try:
        section = SpaceSection.model_validate(root.value, context=rules)
    except ValidationError as error:
        raise first_error(error, SpaceSection, source, root) from None
    space = _space(section, rules)
    return space if overrides is None else overridden(space, overrides, rules)


def _space(section: SpaceSection, rules: Rules) -> SearchSpace:
    data, search, device = section.data, section.search, section.device
    return SearchSpace(
        name=section.name,
        model=section.model,
        recipe=_recipe(section, rules.traits),
        recovery_steps=section.recovery.steps,
        data=DataSettings(data.name, data.n_validation, data.n_calibration, data.path),
        parameters={
            field.name: Parameter(field.name, getattr(section.parameters, field.name)) for field in fields(Variant)
        },
        objectives=section.objectives,
        constraints=section.constraints,
        search=SearchSettings(search.sampler, search.trials, search.timeout, search.seed),
        device=DeviceSettings(
            device.name, device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million
        ),
    )


def _recipe(section: SpaceSection, traits: FamilyTraits | None) -> str:
    """The recipe asked for; else the one named "default", else the first; "" where nothing is trained."""
    if section.training.recipe is not None:
        return section.training.recipe
    recipes = () if traits is None or section.training.weights is not None else traits.recipes
    return "default" if "default" in recipes else next(iter(recipes), "")
