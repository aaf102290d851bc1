"""Overrides: what the command line says in place of the file, under the same rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from explorer.errors import UsageError
from explorer.space.rules import Rules
from explorer.space.schema import Name, Sampler, SearchSection, Seed, Timeout, Trials
from explorer.space.translate import refusal
from explorer.space.values import SearchSpace


@dataclass(frozen=True, slots=True)
class Overrides:
    """The values of `--name`, `--trials`, `--timeout` (seconds), `--sampler` and `--seed`. None keeps the file's."""

    name: str | None = None
    n_trials: int | None = None
    timeout_s: float | None = None
    sampler: str | None = None
    seed: int | None = None


_FLAGS: tuple[tuple[str, str, Any], ...] = (
    ("name", "--name", Name),
    ("n_trials", "--trials", Trials),
    ("timeout_s", "--timeout", Timeout),
    ("sampler", "--sampler", Sampler),
    ("seed", "--seed", Seed),
)


def overridden(space: SearchSpace, overrides: Overrides, rules: Rules) -> SearchSpace:
    """The space with the overrides in their places. Raises UsageError, naming the flag."""
    given: dict[str, Any] = {}
    for field, flag, kind in _FLAGS:
        value = getattr(overrides, field)
        if value is None:
            continue
        try:
            given[field] = TypeAdapter(kind).validate_python(value, strict=True, context=rules)
        except ValidationError as error:
            refused = refusal(error.errors(include_url=False)[0], SearchSection)
            hint = f"; did you mean '{refused.hint}'?" if refused.hint else ""
            raise UsageError(f"{flag}: {refused.sentence}{hint}") from None
    name = given.pop("name", space.name)
    return replace(space, name=name, search=replace(space.search, **given))
