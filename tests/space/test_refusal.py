import pytest

from explorer.space.refusal import Refused, check_choice, described, inside, listed, nearest, quoted


def test_refused_under_a_key_is_seen_from_outside() -> None:
    with pytest.raises(Refused, match="no") as raised, inside("parameters"), inside("width"):
        raise Refused("no", at=(1,), hint="yes", is_key=True)
    refused = raised.value
    assert (refused.sentence, refused.at, refused.hint, refused.is_key) == (
        "no",
        ("parameters", "width", 1),
        "yes",
        True,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "nothing"), (True, "true"), ("a", "the text 'a'"), (1.5, "1.5"), ([], "a list"), ({}, "a mapping")],
)
def test_described_names_the_value(value: object, text: str) -> None:
    assert described(value) == text


def test_quoted_is_short_and_prints() -> None:
    assert quoted("\x1b[31m\ud800") == r"'\x1b[31m\ud800'"
    assert len(quoted("x" * 10_000)) < 70


def test_listed_joins_names() -> None:
    assert [listed(["a"]), listed(["a", "b"]), listed("abc", "and")] == ["a", "a or b", "a, b and c"]


def test_nearest_ignores_case_and_is_none_without_a_match() -> None:
    assert nearest("EAGR", ["eager", "onnxruntime"]) == "eager"
    assert nearest("tensorrt", ["eager", "onnxruntime"]) is None


@pytest.mark.parametrize("value", ["c", 1, None, ["a"]])
def test_check_choice_of_another_value_is_refused(value: object) -> None:
    with pytest.raises(Refused, match=r"expected a letter \(a or b\), got "):
        check_choice(value, "ab", "a letter")
