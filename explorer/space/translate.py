"""Translate what pydantic collected into one sentence of ours, at its place in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from explorer.errors import SpaceError
from explorer.space.document import Node
from explorer.space.refusal import Place, Refused, described, listed, nearest, quoted
from explorer.space.source import Source


@dataclass(frozen=True, slots=True)
class _Finding:
    """A refusal, where it is shown, and where it stands in the order of the file."""

    refused: Refused
    position: tuple[int, int]
    order: tuple[int, int]


def first_error(error: ValidationError, section: type[BaseModel], source: Source, root: Node) -> SpaceError:
    """The first in the file of everything that `section` refused in the file's `root`."""
    findings = (_finding(details, section, root) for details in error.errors(include_url=False))
    found = min(findings, key=lambda finding: finding.order)
    place = dotted(found.refused.at)
    sentence = found.refused.sentence if not place or found.refused.is_key else f"{place}: {found.refused.sentence}"
    return source.error(*found.position, sentence, found.refused.hint)


def _finding(details: ErrorDetails, section: type[BaseModel], root: Node) -> _Finding:
    refused = refusal(details, section)
    if details["type"] != "missing":
        position = root.position(refused.at, refused.is_key)
        return _Finding(refused, position, position)
    # A missing key has no place. Its mapping's is shown, after every other error of that mapping: a key that is
    # there but misspelled is the better explanation.
    holder = refused.at[:-1]
    return _Finding(refused, root.position(holder, is_key=True), root.find(holder).end)


def refusal(details: ErrorDetails, section: type[BaseModel]) -> Refused:
    """One of pydantic's errors in our words; `at` leads there from the value that was validated."""
    at: Place = details["loc"]
    came = described(details["input"])
    limits: dict[str, Any] = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            cause = limits["error"]
            return Refused(cause.sentence, at=(*at, *cause.at), hint=cause.hint, is_key=cause.is_key)
        case "extra_forbidden":
            keys = _keys(section, at[:-1])
            where = f"of '{dotted(at[:-1])}'" if at[:-1] else "of a search space"
            sentence = f"{quoted(str(at[-1]))} is no key {where}; the keys are {listed(keys, 'and')}"
            return Refused(sentence, at=at, hint=nearest(str(at[-1]), keys), is_key=True)
        case "missing":
            where = f"'{dotted(at[:-1])}'" if at[:-1] else "the search space"
            return Refused(f"{where} has no '{at[-1]}', which it needs", at=at, is_key=True)
        case "model_type":
            return Refused(f"expected a mapping with the keys {listed(_keys(section, at), 'and')}, got {came}", at=at)
        case "string_type":
            quotes = "; put it into quotes" if isinstance(details["input"], int | float) else ""
            return Refused(f"expected text, got {came}{quotes}", at=at)
        case "int_type":
            return Refused(f"expected a whole number, got {came}", at=at)
        case "float_type":
            return Refused(f"expected a number, got {came}", at=at)
        case "greater_than_equal":
            return Refused(f"expected at least {_number(limits['ge'])}, got {came}", at=at)
        case "less_than_equal":
            return Refused(f"expected at most {_number(limits['le'])}, got {came}", at=at)
        case kind:
            raise AssertionError(f"the schema has a rule without a sentence: {kind}")


def dotted(at: Place) -> str:
    """`parameters.width[2]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).removeprefix(".")


def _number(limit: float) -> str:
    return f"{limit:,}".removesuffix(".0")


def _keys(section: type[BaseModel], at: Place) -> tuple[str, ...]:
    """The keys of the section at `at`, seen from `section`."""
    for step in at:
        annotation = section.model_fields[str(step)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            raise AssertionError(f"'{dotted(at)}' is no section")
        section = annotation
    return tuple(section.model_fields)
