from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.parameters import Names, Numbers
from explorer.space.allowed_values import MAX_VALUES, allowed_values
from explorer.space.refusal import Refused

RATIO = Numbers(0, 1)
WHOLE = Numbers(1, 64, is_whole=True)
LETTERS = Names(("a", "b", "c"), "a letter")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([0, 0.5, 1], (0.0, 0.5, 1.0)),
        ([0.5], (0.5,)),
        (1, (1.0,)),
        ({"min": 0.0, "max": 0.4, "step": 0.1}, (0.0, 0.1, 0.2, 0.3, 0.4)),
        ({"min": 0.5, "max": 0.5, "step": 0.1}, (0.5,)),
        ({"min": 0, "max": 1e-3, "step": 5e-4}, (0.0, 0.0005, 0.001)),
    ],
)
def test_allowed_values_of_floats_are_the_written_ones(raw: Any, expected: tuple[float, ...]) -> None:
    values = allowed_values(raw, RATIO)
    assert values == expected
    assert all(isinstance(value, float) for value in values)


def test_allowed_values_of_whole_numbers_stay_whole() -> None:
    values = allowed_values({"min": 1, "max": 7, "step": 3}, WHOLE)
    assert values == (1, 4, 7)
    assert all(isinstance(value, int) for value in values)


def test_allowed_values_of_negative_zero_are_zero() -> None:
    assert str(allowed_values(-0.0, RATIO)) == "(0.0,)"


@given(st.integers(0, 50), st.integers(1, 40), st.integers(1, 50), st.sampled_from([1, 10, 100, 1000]))
def test_allowed_values_of_a_range_are_the_nearest_floats_of_exact_decimals(
    first: int, n_steps: int, stride: int, scale: int
) -> None:
    low, high, step = (number / scale for number in (first, first + n_steps * stride, stride))
    values = allowed_values({"min": low, "max": high, "step": step}, Numbers(0, 1e9))
    assert values == tuple(float(Fraction(first + i * stride, scale)) for i in range(n_steps + 1))


@pytest.mark.parametrize(
    ("raw", "rule", "at", "sentence"),
    [
        ([], RATIO, (), "the list is empty"),
        ([0.5, 0.5], RATIO, (1,), "numbers of a list ascend, each once, but 0.5 follows 0.5"),
        ([0.5, 1.0, 0.7], RATIO, (2,), "but 0.7 follows 1.0"),
        ([0.5, "x"], RATIO, (1,), "expected a number, got the text 'x'"),
        ([0.5, [0.7]], RATIO, (1,), "expected a number, got a list"),
        (True, RATIO, (), "expected a number, got true"),
        (None, RATIO, (), "expected a number, got nothing"),
        (1.5, RATIO, (), "expected at most 1, got 1.5"),
        (-0.1, RATIO, (), "expected at least 0, got -0.1"),
        (0, Numbers(0, 1, is_open=True), (), "expected more than 0, got 0"),
        (1.0, WHOLE, (), "expected a whole number, got 1.0"),
        (False, WHOLE, (), "expected a whole number, got false"),
        (65, Numbers(1, 64, why_maximum="the law"), (), r"at most 64 \(the law\), got 65"),
        ({"min": 0, "max": 1}, RATIO, (), "add a step"),
        ({"per_stage": [0.5]}, RATIO, ("per_stage",), "no key of a range"),
        ({"max": 1, "step": 1}, RATIO, (), "add a min"),
        ({"min": 0, "max": 1, "stpe": 1}, RATIO, ("stpe",), "no key of a range; the keys are min, max and step"),
        ({"min": 0, "max": 1, "step": 0}, RATIO, ("step",), "expected more than 0, got 0"),
        ({"min": 0, "max": 1, "step": -1}, RATIO, ("step",), "expected more than 0"),
        ({"min": 0, "max": 2, "step": 1}, RATIO, ("max",), "expected at most 1, got 2"),
        ({"min": 0.6, "max": 0.2, "step": 0.1}, RATIO, ("max",), "the max 0.2 is less than the min 0.6"),
        ({"min": 0.0, "max": 0.4, "step": 0.15}, RATIO, ("step",), "0.15 does not divide .*reaches 0.3, then 0.45"),
        ({"min": 0, "max": 1, "step": 1e-12}, RATIO, ("step",), f"more than {MAX_VALUES} values"),
        ({"min": 0, "max": 1, "step": 5e-324}, RATIO, ("step",), f"more than {MAX_VALUES} values"),
        ({"min": 1, "max": 3, "step": 0.5}, WHOLE, ("step",), "expected a whole number, got 0.5"),
        ([0.0] * (MAX_VALUES + 1), RATIO, (), f"at most {MAX_VALUES} values"),
    ],
)
def test_allowed_values_of_what_breaks_a_rule_are_refused(raw: Any, rule: Numbers, at: Any, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        allowed_values(raw, rule)
    assert caught.value.at == at


def test_allowed_values_of_names_keep_their_order() -> None:
    assert allowed_values(["b", "a"], LETTERS) == ("b", "a")
    assert allowed_values("c", LETTERS) == ("c",)


@pytest.mark.parametrize(
    ("raw", "at", "sentence", "hint"),
    [
        (["eager", "eager"], (1,), "'eager' is in the list twice", None),
        (["eagre"], (0,), r"expected a runtime \(eager or torch\), got the text 'eagre'", "eager"),
        ("EAGER", (), "got the text 'EAGER'", "eager"),
        ([None], (0,), "got nothing", None),
        ({"min": 1}, (), "got a mapping", None),
        ([], (), "the list is empty", None),
    ],
)
def test_allowed_values_of_wrong_names_are_refused(raw: Any, at: Any, sentence: str, hint: str | None) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        allowed_values(raw, Names(("eager", "torch"), "a runtime"))
    assert (caught.value.at, caught.value.hint) == (at, hint)


def test_allowed_values_per_stage_are_every_combination() -> None:
    values = allowed_values({"per_stage": [0.5, 1.0]}, Numbers(0, 1, n_stages=2))
    assert values == ((0.5, 0.5), (0.5, 1.0), (1.0, 0.5), (1.0, 1.0))


@pytest.mark.parametrize(("raw", "n_stages"), [({"per_stage": 0.5}, 3), ({"per_stage": [0.5]}, 3), (0.5, 3)])
def test_allowed_values_without_a_choice_are_one_number(raw: Any, n_stages: int) -> None:
    assert allowed_values(raw, Numbers(0, 1, n_stages=n_stages)) == (0.5,)


def test_allowed_values_per_stage_of_one_stage_are_numbers() -> None:
    assert allowed_values({"per_stage": [0.5, 1.0]}, Numbers(0, 1, n_stages=1)) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("raw", "at", "sentence"),
    [
        ({"per_stage": [0.5, 2]}, ("per_stage", 1), "at most 1"),
        ({"per_stage": [0.5], "min": 0}, ("min",), "expected per_stage alone, got 'min'"),
        ({"per_stage": {"min": 0, "max": 1, "step": 0.05}}, ("per_stage",), "9261 combinations, expected at most 1000"),
    ],
)
def test_allowed_values_that_break_a_rule_are_refused(raw: Any, at: Any, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        allowed_values(raw, Numbers(0, 1, n_stages=3))
    assert caught.value.at == at
