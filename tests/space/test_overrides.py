from collections.abc import Callable
from dataclasses import replace

import pytest

from explorer.errors import UsageError
from explorer.space.overrides import Overrides, overridden
from explorer.space.rules import Rules
from explorer.space.values import SearchSettings, SearchSpace, Vocabulary


@pytest.fixture
def space(parse: Callable[[str], SearchSpace], valid_text: str) -> SearchSpace:
    return parse(valid_text)


@pytest.fixture
def rules(vocabulary: Vocabulary) -> Rules:
    return Rules(vocabulary, traits=None, max_threads=4)


def test_overridden_replaces_what_is_given_and_keeps_the_rest(space: SearchSpace, rules: Rules) -> None:
    assert overridden(space, Overrides(), rules) == space
    changed = overridden(space, Overrides(name="b", timeout_s=0.5), rules)
    assert changed == replace(space, name="b", search=SearchSettings("tpe", 16, 0.5, 0))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (Overrides(name="../x"), r"^--name: expected a name that matches"),
        (Overrides(name=""), r"^--name: expected a name that matches"),
        (Overrides(n_trials=0), r"^--trials: expected at least 1, got 0"),
        (Overrides(n_trials=-3), r"^--trials: expected at least 1, got -3"),
        (Overrides(timeout_s=0.0), r"^--timeout: expected a duration .*, more than zero"),
        (Overrides(timeout_s=float("nan")), r"^--timeout: expected a duration"),
        (Overrides(sampler="nsga"), r"^--sampler: expected a sampler .*; did you mean 'nsga\d'\?"),
        (Overrides(seed=-1), r"^--seed: expected at least 0, got -1"),
        (Overrides(seed=2**32), r"^--seed: expected at most 4,294,967,295"),
    ],
)
def test_overridden_by_a_wrong_value_names_the_flag(
    space: SearchSpace, rules: Rules, overrides: Overrides, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        overridden(space, overrides, rules)
