"""Write a search space: as YAML with all defaults, as a fingerprint, as the difference from another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from explorer.space.document import plain_value
from explorer.space.expressions import constraint_text, duration_text
from explorer.space.values import DEFAULT_MEASURE, DEFAULT_SCENARIO, SHIPPED, Parameter, SearchSpace

_ABSENT = "(absent)"


def dump_space(space: SearchSpace) -> str:
    """Return the space as YAML that `load_space` reads back to an equal value; the first line is the fingerprint."""
    yaml = YAML()
    yaml.width = 1_000_000  # no folded lines
    text = StringIO()
    yaml.dump(_styled(_sections(space)), text)
    return f"# fingerprint: {fingerprint(space)}\n{text.getvalue()}"


def fingerprint(space: SearchSpace) -> str:
    """Return the SHA-256 of everything that identifies a study: all but its name, stopping rule and precision."""
    text = json.dumps(_identity(space), sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def difference(old: SearchSpace, new: SearchSpace) -> list[str]:
    """Return lines such as `parameters.width: [0.25, 0.5] -> [0.25, 1.0]`; none where the fingerprints are equal."""
    before, after = _flat(_identity(old)), _flat(_identity(new))
    keys = dict.fromkeys([*before, *after])
    return [
        f"{key}: {_in_one_line(before.get(key, _ABSENT))} -> {_in_one_line(after.get(key, _ABSENT))}"
        for key in keys
        if before.get(key, _ABSENT) != after.get(key, _ABSENT)
    ]


def _sections(space: SearchSpace) -> dict[str, Any]:
    """Return the space in the shape of the file."""
    data: dict[str, Any] = {
        "name": space.data.name,
        "validation": space.data.validation,
        "calibration": space.data.calibration,
    }
    if space.data.path is not None:
        data["path"] = space.data.path
    stated = space.input
    training = {"weights": SHIPPED} if space.is_shipped else {"recipe": space.recipe} if space.recipe else {}
    search: dict[str, Any] = {"sampler": space.search.sampler, "trials": space.search.n_trials}
    if space.search.timeout_s is not None:
        search["timeout"] = duration_text(space.search.timeout_s)
    measure = {"precision": space.measure.precision, "at_most": duration_text(space.measure.at_most_s)}
    return {
        "name": space.name,
        "task": space.task,
        "model": space.model,
        **({"input": stated.word or {"mean": list(stated.mean), "std": list(stated.std)}} if stated else {}),
        **({"training": training} if training else {}),
        "recovery": {"steps": space.recovery_steps},
        "data": data,
        "parameters": {name: _choice(parameter) for name, parameter in space.parameters.items()},
        **({} if space.scenario == DEFAULT_SCENARIO else {"scenario": space.scenario}),
        "objectives": {objective.metric: objective.direction for objective in space.objectives},
        "constraints": [constraint_text(limit) for limit in space.constraints],
        "search": {**search, "seed": space.search.seed},
        "device": asdict(space.device),
        **({} if space.measure == DEFAULT_MEASURE else {"measure": measure}),
    }


def _choice(parameter: Parameter) -> Any:
    """Return a parameter's values as a list, or as `per_stage` for a width per stage."""
    stages = [value for value in parameter.values if isinstance(value, tuple)]
    return {"per_stage": sorted({stage[0] for stage in stages})} if stages else list(parameter.values)


def _identity(space: SearchSpace) -> dict[str, Any]:
    sections = _sections(space)
    del sections["name"], sections["search"]["trials"]
    sections["search"].pop("timeout", None)
    sections.pop("measure", None)
    if space.input is not None:
        sections["input"] = str(space.input)
    # A list, since the order of the objectives is the order of the study's values.
    return {**sections, "objectives": [f"{goal.metric}: {goal.direction}" for goal in space.objectives]}


def _styled(value: Any) -> Any:
    """Return the value for ruamel.yaml: lists of scalars on one line, ambiguous texts in quotes.

    ruamel.yaml decides about quotes by a wider grammar than YAML 1.2's core schema, and a narrower one for `.5e3`.
    """
    if isinstance(value, dict):
        return CommentedMap((key, _styled(item)) for key, item in value.items())
    if isinstance(value, list):
        items = CommentedSeq(_styled(item) for item in value)
        if all(isinstance(item, int | float) for item in value) or not any(" " in str(item) for item in value):
            items.fa.set_flow_style()
        return items
    if isinstance(value, str) and not isinstance(plain_value(value), str):
        return DoubleQuotedScalarString(value)
    return value


def _flat(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys as `section.key`, and the values outside of any section under their own names."""
    flat: dict[str, Any] = {}
    for name, section in sections.items():
        if isinstance(section, Mapping):
            flat.update({f"{name}.{key}": value for key, value in section.items()})
        else:
            flat[name] = section
    return flat


def _in_one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_in_one_line(item)}' for key, item in value.items())}}}"
    return f"[{', '.join(map(_in_one_line, value))}]" if isinstance(value, list) else str(value)
