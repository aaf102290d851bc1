"""Write a search space: as YAML with every default filled in, as a fingerprint, as what differs from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from explorer.space.document import plain_value
from explorer.space.duration import duration_text
from explorer.space.limits import constraint_text
from explorer.space.values import SHIPPED, Parameter, SearchSpace

_ABSENT = "(absent)"


def dump_space(space: SearchSpace) -> str:
    """The resolved space as YAML that `load_space` reads back to an equal value; its first line is the fingerprint."""
    yaml = YAML()
    yaml.width = 1_000_000  # no folding: a line of the file is a line of the space
    text = StringIO()
    yaml.dump(_styled(_sections(space)), text)
    return f"# fingerprint: {fingerprint(space)}\n{text.getvalue()}"


def fingerprint(space: SearchSpace) -> str:
    """SHA-256 of everything that identifies a study: all but its name and when it stops."""
    text = json.dumps(_identity(space), sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def difference(old: SearchSpace, new: SearchSpace) -> list[str]:
    """Lines such as `parameters.width: [0.25, 0.5] -> [0.25, 1.0]`; none where the fingerprints are equal."""
    before, after = _flat(_identity(old)), _flat(_identity(new))
    keys = dict.fromkeys([*before, *after])
    return [
        f"{key}: {_shown(before.get(key, _ABSENT))} -> {_shown(after.get(key, _ABSENT))}"
        for key in keys
        if before.get(key, _ABSENT) != after.get(key, _ABSENT)
    ]


def _training(space: SearchSpace) -> dict[str, Any]:
    if space.is_shipped:
        return {"training": {"weights": SHIPPED}}
    return {"training": {"recipe": space.recipe}} if space.recipe else {}


def _sections(space: SearchSpace) -> dict[str, Any]:
    """The space in the shape of the file."""
    data: dict[str, Any] = {
        "name": space.data.name,
        "validation": space.data.validation,
        "calibration": space.data.calibration,
    }
    if space.data.path is not None:
        data["path"] = space.data.path
    search: dict[str, Any] = {"sampler": space.search.sampler, "trials": space.search.n_trials}
    if space.search.timeout_s is not None:
        search["timeout"] = duration_text(space.search.timeout_s)
    device = space.device
    return {
        "name": space.name,
        "model": space.model,
        **_training(space),
        "recovery": {"steps": space.recovery_steps},
        "data": data,
        "parameters": {name: _choice(parameter) for name, parameter in space.parameters.items()},
        "objectives": {objective.metric: objective.direction for objective in space.objectives},
        "constraints": [constraint_text(limit) for limit in space.constraints],
        "search": {**search, "seed": space.search.seed},
        "device": {
            "name": device.name,
            "hardware_usd_per_hour": device.hardware_usd_per_hour,
            "memory_usd_per_gib_hour": device.memory_usd_per_gib_hour,
            "other_usd_per_million": device.other_usd_per_million,
        },
    }


def _choice(parameter: Parameter) -> Any:
    """A parameter's values as a list, or as `per_stage` where they are the product of the stages' choices."""
    stages = [value for value in parameter.values if isinstance(value, tuple)]
    return {"per_stage": sorted({stage[0] for stage in stages})} if stages else list(parameter.values)


def _identity(space: SearchSpace) -> dict[str, Any]:
    sections = _sections(space)
    del sections["name"], sections["search"]["trials"]
    sections["search"].pop("timeout", None)
    # The order of the objectives is the order of the study's values.
    return {**sections, "objectives": [f"{goal.metric}: {goal.direction}" for goal in space.objectives]}


def _styled(value: Any) -> Any:
    """The value for ruamel.yaml: lists of scalars on one line, texts in quotes where they would read as something else.

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
    """The sections' keys, with the section's name before a dot, and the values that stand outside any section."""
    flat: dict[str, Any] = {}
    for name, section in sections.items():
        if isinstance(section, Mapping):
            flat.update({f"{name}.{key}": value for key, value in section.items()})
        else:
            flat[name] = section
    return flat


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_shown(item)}' for key, item in value.items())}}}"
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, list) else str(value)
