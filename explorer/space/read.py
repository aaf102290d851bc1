"""Read a search space: parse, check and freeze it; apply overrides; translate the first error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from explorer.errors import SpaceError, UsageError
from explorer.space.document import Node, parse_document
from explorer.space.refusal import Place, Refused, described, listed, unknown_key
from explorer.space.rules import Rules, model_traits
from explorer.space.schema import Name, Sampler, SearchSection, Seed, SpaceSection, Timeout, Trials
from explorer.space.source import Source, checked_text, read_source
from explorer.space.values import (
    DEFAULT_SCENARIO,
    DataSettings,
    DeviceSettings,
    FamilyTraits,
    MeasureSettings,
    Parameter,
    SearchSettings,
    SearchSpace,
    Vocabulary,
)
from explorer.system.environment import usable_cores


@dataclass(frozen=True, slots=True)
class Overrides:
    """The values of `--name`, `--trials`, `--timeout` (seconds), `--sampler` and `--seed`;

    None keeps the file's value.
    """

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
    """Return the space with `overrides` applied, under the same rules. Raises UsageError, naming the flag."""
    given: dict[str, Any] = {}
    for field, flag, kind in _FLAGS:
        value = getattr(overrides, field)
        if value is None:
            continue
        try:
            given[field] = TypeAdapter(kind).validate_python(value, strict=True, context=rules)
        except ValidationError as error:
            refused = refusal(error.errors(include_url=False)[0], SearchSection)
            raise UsageError(f"{flag}: {refused}") from None
    name = given.pop("name", space.name)
    return replace(space, name=name, search=replace(space.search, **given))


def load_space(
    path: Path, vocabulary: Vocabulary, overrides: Overrides | None = None, *, max_threads: int | None = None
) -> SearchSpace:
    """Return the search space of a YAML file, with the command line's overrides.

    `max_threads` is the largest number of threads that the space may name; None: the number of cores that can work for
    this process. Raises SpaceError (`file:line:column: sentence`, the line, a caret, the nearest name) for the first
    error in the file, and UsageError, naming the flag, for an override.
    """
    return _resolve(read_source(path), vocabulary, overrides, max_threads)


def parse_space(
    text: str,
    vocabulary: Vocabulary,
    overrides: Overrides | None = None,
    *,
    name: str = "<text>",
    max_threads: int | None = None,
) -> SearchSpace:
    """Return the search space of a text, which errors call `name`. Raises as `load_space` does."""
    return _resolve(checked_text(name, text), vocabulary, overrides, max_threads)


def _resolve(
    source: Source, vocabulary: Vocabulary, overrides: Overrides | None, max_threads: int | None
) -> SearchSpace:
    root = parse_document(source)
    stated = root.value if isinstance(root.value, dict) else {}
    traits, scenario = model_traits(stated.get("model"), vocabulary), stated.get("scenario", DEFAULT_SCENARIO)
    n_threads = usable_cores() if max_threads is None else max_threads
    # a scenario of another type or name is refused where the sections are read
    rules = Rules(vocabulary, traits, n_threads, scenario if isinstance(scenario, str) else DEFAULT_SCENARIO)
    try:
        section = SpaceSection.model_validate(root.value, context=rules)
    except ValidationError as error:
        raise first_error(error, SpaceSection, source, root) from None
    space = _space(section, rules)
    return space if overrides is None else overridden(space, overrides, rules)


def _space(section: SpaceSection, rules: Rules) -> SearchSpace:
    data, search = section.data, section.search
    return SearchSpace(
        name=section.name,
        model=section.model,
        recipe=_recipe(section, rules.traits),
        recovery_steps=section.recovery.steps,
        data=DataSettings(data.name, data.n_validation, data.n_calibration, data.path),
        parameters={name: Parameter(name, values) for name, values in section.parameters.items()},
        objectives=section.objectives,
        constraints=section.constraints,
        search=SearchSettings(search.sampler, search.trials, search.timeout, search.seed),
        device=DeviceSettings(**section.device.model_dump()),
        input=section.input,
        task=section.task,
        scenario=section.scenario,
        measure=MeasureSettings(section.measure.precision, section.measure.at_most),
    )


def _recipe(section: SpaceSection, traits: FamilyTraits | None) -> str:
    """Return the requested recipe; else "default", else the first; "" where nothing is trained."""
    if section.training.recipe is not None:
        return section.training.recipe
    recipes = () if traits is None or section.training.weights is not None else traits.recipes
    return "default" if "default" in recipes else next(iter(recipes), "")


def first_error(error: ValidationError, section: type[BaseModel], source: Source, root: Node) -> SpaceError:
    """Return the first error in the file among those that pydantic collected for `section` in `root`."""
    findings = (_finding(details, section, root) for details in error.errors(include_url=False))
    _, position, refused = min(findings, key=itemgetter(0))
    place = dotted(refused.at)
    sentence = refused.sentence if not place or refused.is_key else f"{place}: {refused.sentence}"
    return source.error(*position, sentence, refused.hint)


def _finding(
    details: ErrorDetails, section: type[BaseModel], root: Node
) -> tuple[tuple[int, int], tuple[int, int], Refused]:
    """Return the place by which errors are ordered, the place to show, and the error."""
    refused = refusal(details, section)
    if details["type"] != "missing":
        position = root.position(refused.at, refused.is_key)
        return position, position, refused
    # A missing key has no place. Its mapping's is shown, after every other error of that mapping: a misspelled key
    # explains more.
    holder = refused.at[:-1]
    return root.find(holder).end, root.position(holder, is_key=True), refused


def refusal(details: ErrorDetails, section: type[BaseModel]) -> Refused:
    """Return one of pydantic's errors as Refused, which is not raised; `at` leads to it from the validated value.

    Raises AssertionError for a type of error that has no sentence here.
    """
    at: Place = details["loc"]
    came = described(details["input"])
    limits: dict[str, Any] = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            cause = limits["error"]
            return Refused(cause.sentence, at=(*at, *cause.at), hint=cause.hint, is_key=cause.is_key)
        case "extra_forbidden":
            return unknown_key(at, f"'{dotted(at[:-1])}'" if at[:-1] else "a search space", _keys(section, at[:-1]))
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
    """Return a place as text, such as `parameters.width[2]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).removeprefix(".")


def _number(limit: float) -> str:
    return f"{limit:,}".removesuffix(".0")


def _keys(section: type[BaseModel], at: Place) -> tuple[str, ...]:
    """Return the keys of the section at `at`, starting from `section`."""
    for step in at:
        annotation = section.model_fields[str(step)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            raise AssertionError(f"'{dotted(at)}' is no section")
        section = annotation
    return tuple(section.model_fields)
