"""Code of the user's own: which commands run it, and that they say so before they do."""

from __future__ import annotations

from explorer.commands.printing import note
from explorer.errors import UsageError
from explorer.models.own_source import is_own, source_file
from explorer.views.wording import one_line


def say_own_code(model: str) -> None:
    """One line on standard error where `model` is a network of the user's own, whose code is run next."""
    if is_own(model):
        note(f"this runs Python code that is not of this program: {one_line(model)}, from {_place(model)}")


def require_named(model: str, named: str | None, study: str) -> None:
    """Raises UsageError unless `named` says whose code may run: `model`, which the study in its folder names.

    A study may come from somebody else, and its folder may hold a module beside it.
    """
    if named == model or (named is None and not is_own(model)):
        return
    if named is not None:
        raise UsageError(f"--model: expected {one_line(model)!r}, the model of {study}, got {named!r}")
    raise UsageError(
        f"{study} is a study of {one_line(model)!r}, Python code that is not of this program (from {_place(model)}), "
        f"and measuring again runs it: look at it, and allow that with --model {one_line(model)}"
    )


def _place(model: str) -> str:
    """The module's file, in words."""
    path = source_file(model)
    return "a module that is not found here" if path is None else str(path)
