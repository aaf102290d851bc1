"""StudyFacts and trial records as stored in the database: all that is needed to read a study, with checksums."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic_core

from explorer.errors import NotAvailable
from explorer.measure.scenarios.scenario import SCENARIOS, foreign_parameters
from explorer.metrics import METRICS, Constraint, Objective
from explorer.models.registry import FAMILIES, is_own
from explorer.parameters import PARAMETERS
from explorer.runtimes.runtime import RUNTIMES
from explorer.runtimes.runtime import foreign_parameters as parameters_of_other_runtimes
from explorer.space.input_spec import read_input
from explorer.space.rules import NAME_PATTERN
from explorer.space.values import SearchSpace
from explorer.study.store.journal import Entry
from explorer.study.store.validation import require_valid_parameter, require_whole
from explorer.study.vocabulary import vocabulary
from explorer.tasks.task import TASKS, Reference, task_named
from explorer.typed_json import from_json, to_json

FORMAT = 2


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """The search space of a study and what preparing it found; `comparability` is its `comparability_key`.

    The provenance states the task: `{"name", "facts"}`.
    """

    space: SearchSpace
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    comparability: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"format": FORMAT, **to_json(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StudyFacts:
        """Return the inverse of `to_json`.

        Raises KeyError, TypeError or ValueError for anything else; NotAvailable for plugins that are not installed.
        """
        if values["format"] != FORMAT:
            raise ValueError(f"the study has format {values['format']}, this version reads {FORMAT}")
        facts = from_json(cls, {name: value for name, value in values.items() if name != "format"}, "its facts")
        _check(facts.space)
        _check_provenance(facts.provenance, facts.space.task)
        return facts


def space_from_json(values: Mapping[str, Any]) -> SearchSpace:
    """Return the search space that `to_json` gave. Raises as `StudyFacts.from_json`."""
    space = from_json(SearchSpace, values, "its search space")
    _check(space)
    return space


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Input:
    """The normalization of the network's input, and the one that the search space states."""

    stated: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Card:
    """What views show of a trained network's card; `data` of shipped weights alone."""

    family: str
    recipe: str
    seed: float
    seconds: float
    data: str


def _check_provenance(known: Mapping[str, Any], task: str) -> None:
    """Raise KeyError, TypeError or ValueError where provenance is malformed; any part but the task may be missing."""
    stated = from_json(_Task, known["task"], "its task")
    if stated.name != task:
        raise ValueError(f"its task is {stated.name[:100]!r}, and that of its search space {task!r}")
    _check_task(stated)
    if "input" in known:
        from_json(_Input, known["input"], "its input")
    for reference in from_json(list[dict[str, Any]], known.get("references", []), "its references"):
        from_json(Reference, reference, "one of its references")
    weights = from_json(dict[str, Any], known.get("weights", {}), "its weights")
    card = from_json(dict[str, Any], weights.get("card", {}), "the card of its weights")
    if "recipe" in card:
        shown = {name: card[name] for name in ("family", "seed", "seconds")}
        shown |= {"recipe": card["recipe"]["name"], "data": card["data"] if "sha256" in card else ""}
        from_json(_Card, shown, "the card of its weights")


def _check_task(stated: _Task) -> None:
    """Raise ValueError unless the task takes its facts."""
    task = task_named(stated.name)
    try:
        task.check(stated.facts)
    except ValueError as error:
        raise ValueError(f"the facts of its task: {error}") from error
    if task.n_outputs(stated.facts) < 1:
        raise ValueError("its task has no outputs")


def require_installed(kind: str, name: str, registry: Collection[str]) -> None:
    """Raise NotAvailable when the plugin that a study was made with is not in the registry of its kind."""
    if name not in registry:
        raise NotAvailable(
            f"the study was made with the {kind} {name[:100]!r}, which is not installed here ({', '.join(registry)} "
            "are): install the package that brings it"
        )


def _check(space: SearchSpace) -> None:
    """Raise TypeError or ValueError for a space that no YAML file could give: the folder may be untrusted.

    Raises NotAvailable for one of a task, scenario, runtime or family that is not installed.
    """
    require_installed("task", space.task, TASKS)
    require_installed("scenario", space.scenario, SCENARIOS)
    if not is_own(space.model):
        require_installed("family", space.model, FAMILIES)
    goals: list[Objective | Constraint] = [*space.objectives, *space.constraints]
    if not space.objectives or any(goal.metric not in METRICS for goal in goals):
        raise ValueError("its objectives or constraints are no metrics")
    if any(goal.direction != METRICS[goal.metric].direction for goal in space.objectives):
        raise ValueError("its objectives have another direction than their metrics")
    runtimes = space.parameters["runtime"].values if "runtime" in space.parameters else ()
    for runtime in runtimes:
        require_installed("runtime", str(runtime), RUNTIMES)
    known = PARAMETERS.keys() - foreign_parameters(space.scenario) - parameters_of_other_runtimes(runtimes)
    if not {spec.name for spec in vocabulary().parameters} <= space.parameters.keys() <= known:
        raise ValueError("its parameters are not those of a model")
    if not all(parameter.values for parameter in space.parameters.values()):
        raise ValueError("it has a parameter without values")
    for parameter in space.parameters.values():
        require_valid_parameter(parameter)
    if space.input is not None:  # under the rules of the YAML file
        read_input(space.input.word or {"mean": list(space.input.mean), "std": list(space.input.std)})
    counts = (space.recovery_steps, space.data.validation, space.data.calibration, space.search.n_trials)
    require_whole("its settings", counts)
    if not re.fullmatch(NAME_PATTERN, space.name):  # exports are named after it, so it must lead nowhere
        raise ValueError(f"its name does not match {NAME_PATTERN}")


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
    values = pydantic_core.from_json(text, allow_inf_nan=False)  # in a quarter of the time that json.loads takes
    entry, checksum = values["entry"], values["crc32"]
    # The text is checked as it was read, since serializing it again would take longer than all the rest.
    if checksum != _checksum(text[len(_BEFORE_ENTRY) : text.rfind(_AFTER_ENTRY)]):
        raise ValueError("a trial's record does not have its checksum")
    return Entry.from_json(entry)


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8"))
