from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from explorer.space.document import parse_document
from explorer.space.schema import Section
from explorer.space.source import Source
from explorer.space.translate import dotted, first_error


class Inner(Section):
    count: int = 1
    price: Annotated[float, Field(ge=0, le=2e6)] = 0.0
    label: str = ""


class Outer(Section):
    inner: Inner
    other: Inner = Inner()


def first(text: str) -> str:
    source = Source("a.yaml", text)
    root = parse_document(source)
    with pytest.raises(ValidationError, match=r".") as caught:
        Outer.model_validate(root.value)
    return str(first_error(caught.value, Outer, source, root)).split("\n")[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("inner: {count: 1.0}", "a.yaml:1:16: inner.count: expected a whole number, got 1.0"),
        ("inner: {price: '1'}", "a.yaml:1:16: inner.price: expected a number, got the text '1'"),
        ("inner: {price: -1}", "a.yaml:1:16: inner.price: expected at least 0, got -1"),
        ("inner: {price: 3e6}", "a.yaml:1:16: inner.price: expected at most 2,000,000, got 3000000.0"),
        ("inner: {label: 5}", "a.yaml:1:16: inner.label: expected text, got 5; put it into quotes"),
        ("inner: {lable: x}", "a.yaml:1:9: 'lable' is no key of 'inner'; the keys are count, price and label"),
        ("inner: 5", "a.yaml:1:8: inner: expected a mapping with the keys count, price and label, got 5"),
        ("other: {}", "a.yaml:1:1: the search space has no 'inner', which it needs"),
        ("other: {count: x}\ninner: {count: y}", "a.yaml:1:16: other.count: expected a whole number, got the text 'x'"),
        ("other: {count: x}", "a.yaml:1:16: other.count: expected a whole number, got the text 'x'"),
    ],
)
def test_first_error_says_it_in_our_words_at_its_place(text: str, sentence: str) -> None:
    assert first(text) == sentence


def test_dotted_writes_a_place() -> None:
    assert dotted(("parameters", "width", 2)) == "parameters.width[2]"
    assert dotted(()) == ""
