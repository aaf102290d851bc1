"""Rules: what each field of a search space may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationInfo

from explorer.records import Width
from explorer.space.grid import NumberRule, names, numbers, widths
from explorer.space.refusal import Refused, check_choice, described, listed, nearest, quoted
from explorer.space.values import OWN_NETWORK_TRAITS, QUANTIZATIONS, SHIPPED, FamilyTraits, Vocabulary

NAME_PATTERN = "[A-Za-z0-9._-]{1,64}"

_OWN_NETWORK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the fields are checked against. `traits` is None where the model's name is itself refused."""

    vocabulary: Vocabulary
    traits: FamilyTraits | None
    max_threads: int


Info = ValidationInfo[Rules]


def _rules(info: Info) -> Rules:
    if info.context is None:
        raise TypeError("a section is validated with its Rules as pydantic's context")
    return info.context


def model_traits(model: Any, vocabulary: Vocabulary) -> FamilyTraits | None:
    """What the named model can vary; None for a name that is neither a family nor `package.module:function`."""
    if not isinstance(model, str):
        return None
    return OWN_NETWORK_TRAITS if _OWN_NETWORK.fullmatch(model) else vocabulary.families.get(model)


def check_name(name: str) -> str:
    """A name that is safe as a folder's name. Raises Refused."""
    if not re.fullmatch(NAME_PATTERN, name) or not name.strip("."):
        raise Refused(f"expected a name that matches {NAME_PATTERN} and is not only dots, got {quoted(name)}")
    return name


def known_model(name: str, info: Info) -> str:
    """A family, or an own network by its place. Raises Refused."""
    families = _rules(info).vocabulary.families
    if _rules(info).traits is None:
        expected = f"expected a model family ({listed(families)}) or 'package.module:function' of your own"
        raise Refused(f"{expected}, got {quoted(name)}", hint=nearest(name, families))
    return name


def known_dataset(name: str, info: Info) -> str:
    """A registered data set. Raises Refused."""
    return check_choice(name, _rules(info).vocabulary.datasets, "a data set")


def known_sampler(name: str, info: Info) -> str:
    """A registered sampler. Raises Refused."""
    return check_choice(name, _rules(info).vocabulary.samplers, "a sampler")


def known_recipe(name: str, info: Info) -> str:
    """A training recipe of the model. Raises Refused."""
    traits = _rules(info).traits
    if traits is None:
        return name
    if not traits.recipes:
        raise Refused("a network of your own has no training recipes; remove this line")
    return check_choice(name, traits.recipes, "a training recipe of this model")


def known_weights(name: str, info: Info) -> str:
    """The weights that come with the package, if the model has such. Raises Refused."""
    traits = _rules(info).traits
    if traits is not None and not traits.shipped:
        raise Refused("no weights of this model come with the package; remove this line")
    return check_choice(name, (SHIPPED,), "weights that come with the package")


def check_shipped_for(dataset: str, info: Info) -> None:
    """Raises Refused for a data set that the shipped weights were not trained on."""
    traits = _rules(info).traits
    if traits is not None and dataset not in traits.shipped:
        known = listed(traits.shipped)
        raise Refused(
            f"the shipped weights are for {known}, not for {dataset}; remove this line", at=("training", "weights")
        )


def width_values(raw: Any, info: Info) -> tuple[Width, ...]:
    """Widths that the model has. Raises Refused."""
    traits = _rules(info).traits
    if traits is None:
        return widths(raw, NumberRule(0, 1, is_open=True), n_stages=1)
    is_fixed = traits.min_width == 1.0
    why = "this model has only one width" if is_fixed else "the narrowest width of this model"
    return widths(raw, NumberRule(traits.min_width, 1, why_minimum=why), traits.n_stages)


def threshold_values(raw: Any, info: Info) -> tuple[float, ...]:
    """Confidences, if the model has early exits. Raises Refused."""
    traits = _rules(info).traits
    if traits is None or traits.has_exits:
        return numbers(raw, NumberRule(0, 1, is_open=True))
    return numbers(raw, NumberRule(1, 1, why_minimum="this model has no early exits"))


def ratio_values(raw: Any) -> tuple[float, ...]:
    """Shares of channels to prune; beyond nine tenths nothing is left of most layers. Raises Refused."""
    return numbers(raw, NumberRule(0, 0.9))


def batch_size_values(raw: Any) -> tuple[float, ...]:
    """Batch sizes. Raises Refused."""
    return numbers(raw, NumberRule(1, 1024, is_whole=True))


def thread_values(raw: Any, info: Info) -> tuple[float, ...]:
    """Numbers of threads, each with a core. Raises Refused."""
    n = _rules(info).max_threads
    return numbers(raw, NumberRule(1, n, is_whole=True, why_maximum=f"cores that this process may use: {n}"))


def quantization_values(raw: Any) -> tuple[str, ...]:
    """Quantizations. Raises Refused."""
    return names(raw, QUANTIZATIONS, "a quantization")


def runtime_values(raw: Any, info: Info) -> tuple[str, ...]:
    """Registered runtimes. Raises Refused."""
    return names(raw, _rules(info).vocabulary.runtimes, "a runtime")


def unsigned_zero(value: float) -> float:
    """The same number, with 0.0 for -0.0: equal values have equal texts, hence equal fingerprints."""
    return value + 0.0


def given(value: Any) -> Any:
    """An optional field may be left out, but `key:` with nothing behind it is an oversight."""
    if value is None:
        raise Refused("there is no value here; give one, or remove the line")
    return value


def not_empty(text: str) -> str:
    """A text that is not blank. Raises Refused."""
    if not text.strip():
        raise Refused(f"expected a path, got {described(text)}")
    return text


def check_executions(runtimes: tuple[str, ...], quantizations: tuple[str, ...], blamed: str, info: Info) -> None:
    """Raise Refused, at the key `blamed`, unless one of the runtimes executes one of the quantizations."""
    supported = {name: _rules(info).vocabulary.runtimes[name] for name in runtimes}
    if not any(quantization in able for able in supported.values() for quantization in quantizations):
        known = "; ".join(f"{name} executes {listed(sorted(able), 'and')}" for name, able in supported.items())
        raise Refused(f"no runtime of this space executes {listed(quantizations)}: {known}", at=(blamed,))
