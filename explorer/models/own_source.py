"""Where the code of a user's own network lies, found without running any of it."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


def is_own(model: str) -> bool:
    """Whether `model` is "package.module:function" of a user's own, and no family of this package."""
    return ":" in model


def source_file(model: str) -> Path | None:
    """The file that importing the module of "package.module:function" runs last; None where none is found.

    Looks where `explorer.models.own` does, the current directory first. Python's own search would import the packages
    around the module; this one asks the finders for one folder after the other, and imports nothing.
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
