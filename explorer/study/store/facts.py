"""StudyFacts and trial records as stored in the database: all that is needed to read a study, with checksums."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import from_json

from explorer.measure.scenarios.scenario import SCENARIOS, foreign_parameters
from explorer.metrics import METRICS, Constraint, Objective
from explorer.parameters import PARAMETERS
from explorer.space.input_spec import InputSpec, read_input
from explorer.space.rules import NAME_PATTERN
from explorer.space.values import (
    DataSettings,
    DeviceSettings,
    MeasureSettings,
    Parameter,
    SearchSettings,
    SearchSpace,
)
from explorer.study.store.journal import Entry
from explorer.study.store.validation import (
    require_finite,
    require_list,
    require_object,
    require_texts,
    require_truth,
    require_valid_parameter,
    require_whole,
)
from explorer.tasks.task import TASKS, task_named

FORMAT = 2


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """The search space of a study and what preparing it found; `world` is its `comparability_key`.

    The provenance states the task: `{"name", "facts"}`.
    """

    space: SearchSpace
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    world: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "format": FORMAT,
            "space": asdict(self.space),
            "identity": dict(self.identity),
            "provenance": dict(self.provenance),
            "world": self.world,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StudyFacts:
        """Return the inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        if values["format"] != FORMAT:
            raise ValueError(f"the study has format {values['format']}, this version reads {FORMAT}")
        for name in ("identity", "provenance"):
            require_object(f"its {name}", values[name])
        require_texts("its world", (values["world"],))
        _check_provenance(values["provenance"])
        return cls(
            space=space_from_json(values["space"]),
            identity=values["identity"],
            provenance=values["provenance"],
            world=values["world"],
        )


def space_from_json(values: Mapping[str, Any]) -> SearchSpace:
    """Return the search space that `dataclasses.asdict` and JSON gave, with tuples as lists.

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
            "measure": MeasureSettings(**values["measure"]),
            "input": _input(values.get("input")),
        }
    )
    _check(space)
    return space


def _input(values: Mapping[str, Any] | None) -> InputSpec | None:
    """Return the input specification that `dataclasses.asdict` and JSON gave, under the rules of the YAML file."""
    if values is None:
        return None
    word, stated = values["word"], {name: list(values[name]) for name in ("mean", "std")}
    return read_input(word or stated)


def _check_provenance(known: Mapping[str, Any]) -> None:
    """Raise KeyError or TypeError where provenance has the wrong type; any part but the task may be missing."""
    _check_task(known["task"])
    _check_references(known.get("references", []))
    _check_input(known)
    weights = known.get("weights", {})
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


def _check_task(stated: Any) -> None:
    """Raise KeyError, TypeError or ValueError unless a task of that name is installed and takes the facts."""
    require_object("its task", stated)
    require_texts("its task", (stated["name"],))
    require_object("the facts of its task", stated["facts"])
    if stated["name"] not in TASKS:
        raise ValueError(f"its task is {stated['name'][:100]!r}, and {', '.join(TASKS)} are installed")
    task = task_named(stated["name"])
    try:
        task.check_facts(stated["facts"])
    except ValueError as error:
        raise ValueError(f"the facts of its task: {error}") from error
    if task.n_outputs(stated["facts"]) < 1:
        raise ValueError("its task has no outputs")


def _check_input(known: Mapping[str, Any]) -> None:
    """Check the normalization of the network's input. Raises as `_check_provenance`."""
    if "input" in known:
        require_object("its input", known["input"])
        require_texts("its input", (known["input"]["stated"] or "",))
        for name in ("mean", "std"):
            require_list(f"its input's {name}", known["input"][name])
            require_finite(f"its input's {name}", known["input"][name])


def _check_references(references: Any) -> None:
    """Check what the main metric is without a network. Raises as `_check_provenance`."""
    require_list("its references", references)
    for one in references:
        require_object("one of its references", one)
        require_texts("one of its references", (one["name"], one["clause"]))
        require_finite("one of its references", (one["value"],))


def _check(space: SearchSpace) -> None:
    """Raise TypeError or ValueError for a space that no YAML file could give: the folder may be untrusted."""
    if space.task not in TASKS:
        raise ValueError(f"its task {space.task!r} is of a package that is not installed: install it")
    goals: list[Objective | Constraint] = [*space.objectives, *space.constraints]
    if not space.objectives or any(goal.metric not in METRICS for goal in goals):
        raise ValueError("its objectives or constraints are no metrics")
    if any(goal.direction != METRICS[goal.metric].direction for goal in space.objectives):
        raise ValueError("its objectives have another direction than their metrics")
    bounds = [limit.bound for limit in space.constraints]
    if any(limit.comparison not in ("<=", ">=") for limit in space.constraints) or not all(map(math.isfinite, bounds)):
        raise ValueError("its constraints compare nothing")
    if space.scenario not in SCENARIOS:
        raise ValueError(f"its scenario is {space.scenario!r}, and {', '.join(SCENARIOS)} are installed")
    known = PARAMETERS.keys() - foreign_parameters(space.scenario)
    of_every_model = {name for name in known if PARAMETERS[name].phase != "network"}
    if not of_every_model <= space.parameters.keys() <= known:
        raise ValueError("its parameters are not those of a model")
    if not all(parameter.values for parameter in space.parameters.values()):
        raise ValueError("it has a parameter without values")
    for parameter in space.parameters.values():
        require_valid_parameter(parameter)
    for constraint in space.constraints:
        require_truth("is_relative of a constraint", constraint.is_relative)
    _check_settings(space)
    if not isinstance(space.name, str) or not isinstance(space.search.n_trials, int):
        raise TypeError("its name is no text, or its number of trials no number")
    if not re.fullmatch(NAME_PATTERN, space.name):  # exports are named after it, so it must lead nowhere
        raise ValueError(f"its name does not match {NAME_PATTERN}")


def _check_settings(space: SearchSpace) -> None:
    """Raise TypeError for settings of another type than a YAML file gives."""
    data, search, device = space.data, space.search, space.device
    require_texts(
        "its settings",
        (
            space.task,
            space.model,
            space.scenario,
            space.recipe,
            data.name,
            data.path or "",
            search.sampler,
            device.name,
        ),
    )
    require_whole("its settings", (space.recovery_steps, data.validation, data.calibration, search.n_trials))
    prices = (device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)
    limits = (space.measure.precision, space.measure.at_most_s, search.timeout_s or 0)
    require_finite("its settings", (*prices, search.seed, *limits))


FACTS_KEY = "explorer"
REFERENCE_KEY = "reference_point"
RECORD_KEY = "record"
INTERRUPTED_KEY = "interrupted"

_BEFORE_ENTRY, _AFTER_ENTRY = '{"entry": ', ', "crc32": '


def checksummed(entry: Entry) -> dict[str, Any]:
    """Return an entry with a checksum, since SQLite detects damage to its structure only, not to values.

    The checksum is that of the entry's JSON text as `json.dumps`, and so Optuna, writes it.
    """
    text = json.dumps(entry.to_json())
    return {"entry": json.loads(text), "crc32": _checksum(text)}


def from_checksummed(text: str) -> Entry:
    """Return the inverse of `checksummed`, from JSON text. Raises KeyError, TypeError or ValueError otherwise."""
    values = from_json(text, allow_inf_nan=False)  # in a quarter of the time that json.loads takes
    entry, checksum = values["entry"], values["crc32"]
    # The text is checked as it was read, since serializing it again would take longer than all the rest; old studies
    # have the checksum of a text with sorted keys.
    written = text[len(_BEFORE_ENTRY) : text.rfind(_AFTER_ENTRY)]
    if checksum != _checksum(written) and checksum != _checksum(json.dumps(entry, sort_keys=True)):
        raise ValueError("a trial's record does not have its checksum")
    return Entry.from_json(entry)


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8"))
