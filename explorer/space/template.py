"""Template: the commented search space that `explore init` writes."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from explorer.errors import UsageError
from explorer.files import write_text
from explorer.space.refusal import Refused
from explorer.space.rules import check_name

_NAME_HERE = '"my-study"'


def write_template(name: str, directory: Path) -> Path:
    """Write `<name>.yaml` into `directory`, and return its path.

    Raises UsageError for a name that no study can have, for a file that exists, and where nothing can be written.
    """
    stem = name.removesuffix(".yaml")
    try:
        check_name(stem)
    except Refused as refused:
        raise UsageError(refused.sentence) from None
    path = directory / f"{stem}.yaml"
    if os.path.lexists(path):
        raise UsageError(f"{path} exists and is not overwritten; take another name, or remove it")
    text = resources.files("explorer.space").joinpath("template.yaml").read_text(encoding="utf-8")
    try:
        write_text(path, text.replace(_NAME_HERE, f'"{stem}"'))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path
