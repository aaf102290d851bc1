"""Refused: the error for an invalid value, independent of the file that contains it; the wording of such errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from explorer.errors import NotAvailable, UsageError

Place = tuple[str | int, ...]

_SHOWN_LENGTH = 60


class Refused(UsageError, ValueError):
    """An invalid value. It is a ValueError, so that pydantic collects it with others.

    `at` leads from the checked value to its wrong part; with `is_key` the key itself is wrong, not its value. `hint` is
    the nearest valid name, with which the message ends.
    """

    def __init__(self, sentence: str, *, at: Place = (), hint: str | None = None, is_key: bool = False) -> None:
        super().__init__(sentence + (f"; did you mean '{hint}'?" if hint else ""))
        self.sentence = sentence
        self.at = at
        self.hint = hint
        self.is_key = is_key


@contextmanager
def inside(key: str | int) -> Iterator[None]:
    """Raise a Refused error of the block again with its place prefixed by `key`, which the checked value has."""
    try:
        yield
    except Refused as refused:
        raise Refused(refused.sentence, at=(key, *refused.at), hint=refused.hint, is_key=refused.is_key) from None


def unknown_key(at: Place, owner: str, keys: Iterable[str]) -> Refused:
    """Return the error for a key, the last step of `at`, that is none of `keys` of `owner`."""
    key, known = str(at[-1]), tuple(keys)
    sentence = f"{quoted(key)} is no key of {owner}; the keys are {listed(known, 'and')}"
    return Refused(sentence, at=at, hint=nearest(key, known), is_key=True)


def quoted(text: str) -> str:
    """Return `text` in quotes, escaped where it is not printable, shortened where it is long."""
    return repr(text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…")


def described(value: Any) -> str:
    """Return a description of an unexpected value, for the end of an error message."""
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
    """Return `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} {last_word} {last}" if first else last


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the valid name that `name` most resembles, or None."""
    matches = difflib.get_close_matches(name.lower(), list(names), n=1)
    return matches[0] if matches else None


def also(faults: Mapping[str, str]) -> str:
    """Return for the end of an error message why plugins cannot be used; empty where there are none."""
    return "".join(f"; {why}" for why in faults.values())


def check_choice(value: Any, names: Iterable[str], what: str, faults: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return `value` if it is one of `names`. Raises Refused, with the nearest name.

    `faults` are plugins that cannot be used: NotAvailable for the name of one.
    """
    known = tuple(names)
    if isinstance(value, str) and value in known:
        return value
    if isinstance(value, str) and value in faults:
        raise NotAvailable(faults[value])
    hint = nearest(value, known) if isinstance(value, str) else None
    raise Refused(f"expected {what} ({listed(known)}), got {described(value)}{also(faults)}", hint=hint)
