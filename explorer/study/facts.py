"""StudyFacts: what a study's database knows about the study itself, so that it can be read without anything else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from explorer.objectives import METRICS, Constraint, Objective
from explorer.records import Variant
from explorer.space.rules import NAME_PATTERN
from explorer.space.values import DataSettings, DeviceSettings, Parameter, SearchSettings, SearchSpace
from explorer.study.sound import (
    require_finite,
    require_list,
    require_object,
    require_sound_parameter,
    require_texts,
    require_truth,
    require_whole,
)

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """The search space of a study and what preparing it found; `world` is the key of explorer.study.world."""

    space: SearchSpace
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    n_classes: int
    world: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "format": FORMAT,
            "space": asdict(self.space),
            "identity": dict(self.identity),
            "provenance": dict(self.provenance),
            "n_classes": self.n_classes,
            "world": self.world,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StudyFacts:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        if values["format"] != FORMAT:
            raise ValueError(f"the study has format {values['format']}, this version reads {FORMAT}")
        for name in ("identity", "provenance"):
            require_object(f"its {name}", values[name])
        require_whole("its number of classes", (values["n_classes"],))
        if not values["n_classes"]:
            raise ValueError("its number of classes is 0")
        require_texts("its world", (values["world"],))
        _check_provenance(values["provenance"])
        return cls(
            space=space_from_json(values["space"]),
            identity=values["identity"],
            provenance=values["provenance"],
            n_classes=values["n_classes"],
            world=values["world"],
        )


def space_from_json(values: Mapping[str, Any]) -> SearchSpace:
    """A search space from what `dataclasses.asdict` and JSON made of it: tuples had become lists.

    Raises KeyError, TypeError, ValueError or AttributeError for anything else.
    """
    space = SearchSpace(
        **{
            **values,
            "data": DataSettings(**values["data"]),
            "parameters": {
                name: Parameter(name, tuple(tuple(v) if isinstance(v, list) else v for v in parameter["values"]))
                for name, parameter in values["parameters"].items()
            },
            "objectives": tuple(Objective(**objective) for objective in values["objectives"]),
            "constraints": tuple(Constraint(**constraint) for constraint in values["constraints"]),
            "search": SearchSettings(**values["search"]),
            "device": DeviceSettings(**values["device"]),
        }
    )
    _check(space)
    return space


def _check_provenance(known: Mapping[str, Any]) -> None:
    """Raises KeyError or TypeError where what views tell of it is of another kind; any part of it may be missing."""
    classes, weights = known.get("class_names", []), known.get("weights", {})
    require_list("its class names", classes)
    require_texts("its class names", classes)
    require_object("its weights", weights)
    card = weights.get("card", {})
    require_object("the card of its weights", card)
    if "recipe" in card:
        require_object("the recipe of its weights", card["recipe"])
        require_texts(
            "the card of its weights",
            (card["family"], card["recipe"]["name"], card["data"] if "sha256" in card else ""),
        )
        require_finite("the card of its weights", (card["seed"], card["seconds"]))


def _check(space: SearchSpace) -> None:
    """Raises TypeError or ValueError for a space that no file could have given: the folder may be a stranger's."""
    goals: list[Objective | Constraint] = [*space.objectives, *space.constraints]
    if not space.objectives or any(goal.metric not in METRICS for goal in goals):
        raise ValueError("its objectives or constraints are no metrics")
    if any(goal.direction != METRICS[goal.metric].direction for goal in space.objectives):
        raise ValueError("its objectives have another direction than their metrics")
    bounds = [limit.bound for limit in space.constraints]
    if any(limit.comparison not in ("<=", ">=") for limit in space.constraints) or not all(map(math.isfinite, bounds)):
        raise ValueError("its constraints compare nothing")
    if set(space.parameters) != {field.name for field in fields(Variant)}:
        raise ValueError("its parameters are not those of a variant")
    if not all(parameter.values for parameter in space.parameters.values()):
        raise ValueError("it has a parameter without values")
    for parameter in space.parameters.values():
        require_sound_parameter(parameter)
    for constraint in space.constraints:
        require_truth("is_relative of a constraint", constraint.is_relative)
    _check_settings(space)
    if not isinstance(space.name, str) or not isinstance(space.search.n_trials, int):
        raise TypeError("its name is no text, or its number of trials no number")
    if not re.fullmatch(NAME_PATTERN, space.name):  # exports are named after it, so it must lead nowhere
        raise ValueError(f"its name does not match {NAME_PATTERN}")


def _check_settings(space: SearchSpace) -> None:
    """Raises TypeError for settings of another kind than a file's."""
    data, search, device = space.data, space.search, space.device
    require_texts("its settings", (space.model, space.recipe, data.name, data.path or "", search.sampler, device.name))
    require_whole("its settings", (space.recovery_steps, data.validation, data.calibration, search.n_trials))
    prices = (device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)
    require_finite("its settings", (*prices, search.seed, 0 if search.timeout_s is None else search.timeout_s))
