"""`explore init`: write a commented search space."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from textwrap import wrap

from explorer.errors import UsageError
from explorer.models.registry import FAMILIES, family_named
from explorer.parameters import ParameterSpec, in_order
from explorer.space.rules import check_name
from explorer.study.vocabulary import vocabulary
from explorer.system.files import write_text

_NAME_HERE, _FAMILY_HERE, _PARAMETERS_HERE = '"my-study"', '"my-family"', "  # (the parameters of the model)\n"
_COLUMNS = 116


def write_template(name: str, directory: Path) -> Path:
    """Write `<name>.yaml` into `directory`, and return its path.

    Raises UsageError for a name that no study can have, for a file that exists, and where nothing can be written.
    """
    stem = name.removesuffix(".yaml")
    check_name(stem)
    path = directory / f"{stem}.yaml"
    if os.path.lexists(path):
        raise UsageError(f"{path} exists and is not overwritten; take another name, or remove it")
    try:
        write_text(path, _template(stem))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _template(name: str) -> str:
    """Return the search space of the first family, with all of its parameters."""
    text = resources.files("explorer.space").joinpath("template.yaml").read_text(encoding="utf-8")
    family = next(iter(FAMILIES))
    specs = in_order(iter((*family_named(family).traits.parameters, *vocabulary().parameters)))
    for here, there in (
        (_NAME_HERE, f'"{name}"'),
        (_FAMILY_HERE, family),
        (_PARAMETERS_HERE, "".join(map(_lines, specs.values()))),
    ):
        text = text.replace(here, there)
    return text


def _lines(spec: ParameterSpec) -> str:
    """Return a parameter's lines of the file; one without an example is a comment, and keeps its baseline."""
    summary = "".join(f"  # {line}\n" for line in wrap(spec.summary, _COLUMNS))
    given = f"{spec.name}: {spec.example}" if spec.example else f"# {spec.name}: {spec.baseline}"
    return f"{summary}  {given}\n"
