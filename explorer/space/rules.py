"""Rules: the allowed values of each field of a search space."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationInfo

from explorer.errors import NotAvailable
from explorer.parameters import Numbers, ParameterSpec, Value, in_order
from explorer.space.allowed_values import allowed_values
from explorer.space.input_spec import HOW_TO_SAY, InputSpec
from explorer.space.refusal import Refused, also, check_choice, described, inside, listed, nearest, quoted, unknown_key
from explorer.space.values import DEFAULT_SCENARIO, SHIPPED, FamilyTraits, Vocabulary
from explorer.tasks.task import Task, survey

NAME_PATTERN = "[A-Za-z0-9._-]{1,64}"

_OWN_NETWORK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rules:
    """The context of the checks. `traits` is None where the model's name is itself invalid."""

    vocabulary: Vocabulary
    traits: FamilyTraits | None
    max_threads: int
    scenario: str = DEFAULT_SCENARIO

    def parameters(self, runtimes: Sequence[Any]) -> dict[str, ParameterSpec]:
        """Return the parameters of the model and of `runtimes` by name, with what this machine limits."""
        own = () if self.traits is None else self.traits.parameters
        added = self.vocabulary.scenarios.get(self.scenario, ())
        of_runtimes = [
            spec for name, specs in self.vocabulary.runtime_parameters.items() if name in runtimes for spec in specs
        ]
        return in_order(map(self._limited, (*own, *self.vocabulary.parameters, *added, *of_runtimes)))

    def _limited(self, spec: ParameterSpec) -> ParameterSpec:
        if not spec.has_core or not isinstance(spec.allowed, Numbers):
            return spec
        why = f"cores that this process may use: {self.max_threads}"
        return replace(spec, allowed=replace(spec.allowed, maximum=self.max_threads, why_maximum=why))


Info = ValidationInfo[Rules]


def _rules(info: Info) -> Rules:
    if info.context is None:
        raise TypeError("a section is validated with its Rules as pydantic's context")
    return info.context


def model_traits(model: Any, vocabulary: Vocabulary) -> FamilyTraits | None:
    """Return the traits of a model; None for a name that is neither a family nor `package.module:function`."""
    if not isinstance(model, str):
        return None
    return vocabulary.own if _OWN_NETWORK.fullmatch(model) else vocabulary.families.get(model)


def check_name(name: str) -> str:
    """Return a name that is safe as a folder's name. Raises Refused for others."""
    if not re.fullmatch(NAME_PATTERN, name) or not name.strip("."):
        raise Refused(f"expected a name that matches {NAME_PATTERN} and is not only dots, got {quoted(name)}")
    return name


def known_model(name: str, info: Info) -> str:
    """Return the name of a family, or the place of a user's own network. Raises Refused."""
    words = _rules(info).vocabulary
    if _rules(info).traits is None:
        if name in (faults := words.faults.get("families", {})):
            raise NotAvailable(faults[name])
        expected = f"expected a model family ({listed(words.families)}) or 'package.module:function' of your own"
        raise Refused(f"{expected}, got {quoted(name)}{also(faults)}", hint=nearest(name, words.families))
    return name


def one_of(field: str, what: str) -> Callable[[str, Info], str]:
    """Return a validator of the names in that field of the vocabulary, each of which is `what`."""

    def check(name: str, info: Info) -> str:
        words = _rules(info).vocabulary
        return check_choice(name, getattr(words, field), what, words.faults.get(field, {}))

    return check


def known_task(name: str) -> str:
    """Return the name of a registered task. Raises Refused, NotAvailable."""
    tasks, faults = survey()
    return check_choice(name, tasks, "a task", faults)


def known_recipe(name: str, info: Info) -> str:
    """Return the name of a training recipe of the model. Raises Refused."""
    traits = _rules(info).traits
    if traits is None:
        return name
    if not traits.recipes:
        raise Refused("a network of your own has no training recipes; remove this line")
    return check_choice(name, traits.recipes, "a training recipe of this model")


def known_weights(name: str, info: Info) -> str:
    """Return "shipped" if weights of the model come with the package. Raises Refused."""
    traits = _rules(info).traits
    if traits is not None and not traits.shipped:
        raise Refused("no weights of this model come with the package; remove this line")
    return check_choice(name, (SHIPPED,), "weights that come with the package")


def check_shipped_for(dataset: str, info: Info) -> None:
    """Raise Refused for a data set that the shipped weights were not trained on."""
    traits = _rules(info).traits
    if traits is not None and dataset not in traits.shipped:
        known = listed(traits.shipped)
        raise Refused(
            f"the shipped weights are for {known}, not for {dataset}; remove this line", at=("training", "weights")
        )


def check_model(model: str, spec: InputSpec | None, task: Task, info: Info) -> None:
    """Raise Refused for a family that does not train for the task, or an `input` too many or too few.

    A user's own network for pixels has one; a family, and a network for other inputs, has none.
    """
    is_own = _OWN_NETWORK.fullmatch(model) is not None
    if not is_own and task.name not in _rules(info).vocabulary.families[model].tasks:
        raise Refused(
            f"{model} cannot be trained for the task {task.name}; name a network of your own, package.module:function",
            at=("model",),
        )
    if is_own and task.has_pixels and spec is None:
        raise Refused(
            "the search space has no 'input', which a network of your own needs: say what pixels it was trained on, "
            f"by adding {HOW_TO_SAY}",
            at=("model",),
            is_key=True,
        )
    if spec is not None and not (is_own and task.has_pixels):
        why = f"{model} normalizes by the mean and std of its training inputs"
        if is_own:
            why = f"the inputs of the task {task.name} have no pixels"
        raise Refused(f"'input' is for a network of your own, and {why}; remove this line", at=("input",), is_key=True)


def read_parameters(raw: Any, info: Info) -> dict[str, tuple[Value, ...]]:
    """Return the allowed values of each parameter of the model; an absent one is fixed at its baseline value.

    Nothing is checked where the model's name is itself invalid. Raises Refused.
    """
    rules = _rules(info)
    stated = raw.get("runtime") if isinstance(raw, dict) else None
    specs = rules.parameters(stated if isinstance(stated, list) else [stated])
    if rules.traits is None:
        return {}
    if not isinstance(raw, dict):
        raise Refused(f"expected a mapping with the keys {listed(specs, 'and')}, got {described(raw)}")
    chosen: dict[str, tuple[Value, ...]] = {}
    for name, values in raw.items():
        if name not in specs:
            raise unknown_key((name,), "'parameters'", specs)
        with inside(name):
            chosen[name] = allowed_values(values, specs[name].allowed)
    found = {name: chosen.get(name, (spec.baseline,)) for name, spec in specs.items()}
    _check_executions(found, "quantization" if "quantization" in raw else "runtime", rules.vocabulary)
    return found


def given(value: Any) -> Any:
    """Return `value`. Raises Refused for None: an optional field may be absent, but not empty."""
    if value is None:
        raise Refused("there is no value here; give one, or remove the line")
    return value


def not_empty(text: str) -> str:
    """Return a text that is not blank. Raises Refused for a blank one."""
    if not text.strip():
        raise Refused(f"expected a path, got {described(text)}")
    return text


def _check_executions(values: Mapping[str, Any], blamed: str, vocabulary: Vocabulary) -> None:
    """Raise Refused, at the key `blamed`, unless one of the runtimes executes one of the quantizations."""
    supported = {name: vocabulary.runtimes[name] for name in values["runtime"]}
    quantizations = values["quantization"]
    if not any(quantization in able for able in supported.values() for quantization in quantizations):
        known = "; ".join(f"{name} executes {listed(sorted(able), 'and')}" for name, able in supported.items())
        raise Refused(f"no runtime of this space executes {listed(quantizations)}: {known}", at=(blamed,))
