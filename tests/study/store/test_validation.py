"""JSON of strangers: what is strict reads as usual, and what two readers could read differently is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import VerificationFailed
from explorer.study.store.validation import strict_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), VALUES))
def test_strict_object_any_object_comes_back(value):
    assert strict_object("x.json", json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"a": 1, "a": 1}', "the key 'a' is there twice"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' is there twice"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b"[]", "does not hold an object"),
        (b"null", "does not hold an object"),
        (b"", "does not read as JSON"),
        (b'{"a": 1} {}', "does not read as JSON"),
        (b'{"a": "\xff"}', "does not read as JSON"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "does not read as JSON"),
        (b'{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_strict_object_anything_else_is_refused_with_the_files_name(content, match):
    with pytest.raises(VerificationFailed, match=f"^x.json .*{match}"):
        strict_object("x.json", content)
