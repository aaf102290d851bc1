"""Case: one bad input, the command that meets it, and what that must end with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CANARY = "canary"
"""A file of this name in the working folder means that something of a stranger's was executed."""


@dataclass(frozen=True, slots=True)
class Case:
    """`make` fills the working folder; `command` is run there, and says `says`, a regular expression.

    With `is_users_code` the fault is in the user's own program, whose traceback belongs before the sentence.
    """

    name: str
    make: Callable[[Path], object]
    command: tuple[str, ...]
    exit_code: int
    says: str
    is_users_code: bool = False


class Payload:
    """Pickled, it leaves the canary in `folder` when somebody unpickles it."""

    def __init__(self, folder: Path) -> None:
        self._canary = folder / CANARY

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._canary,)
