"""Refused: what is wrong with a value, said without knowing the file that the value stands in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

Place = tuple[str | int, ...]

_SHOWN_LENGTH = 60


class Refused(ValueError):
    """A value that the rules refuse. A ValueError, so that pydantic collects it with the others.

    `at` leads from the checked value to the wrong part of it; with `is_key` the key itself is wrong, not its value.
    `hint` is the nearest valid name.
    """

    def __init__(self, sentence: str, *, at: Place = (), hint: str | None = None, is_key: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.at = at
        self.hint = hint
        self.is_key = is_key

    def under(self, key: str | int) -> Refused:
        """The same, seen from the value that holds the checked one under `key`."""
        return Refused(self.sentence, at=(key, *self.at), hint=self.hint, is_key=self.is_key)


def quoted(text: str) -> str:
    """`text` in quotes, escaped where it does not print, shortened where it is long."""
    return repr(text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…")


def described(value: Any) -> str:
    """What came, for the end of a sentence that says what was expected."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}"
        case int() | float():
            return f"{value!r}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def listed(names: Iterable[str], last_word: str = "or") -> str:
    """`a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} {last_word} {last}" if first else last


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The valid name that `name` was probably meant to be, if there is one."""
    matches = difflib.get_close_matches(name.lower(), list(names), n=1)
    return matches[0] if matches else None


def check_choice(value: Any, names: Iterable[str], what: str) -> str:
    """`value` if it is one of `names`. Raises Refused, with the nearest name."""
    known = tuple(names)
    if isinstance(value, str) and value in known:
        return value
    hint = nearest(value, known) if isinstance(value, str) else None
    raise Refused(f"expected {what} ({listed(known)}), got {described(value)}", hint=hint)
