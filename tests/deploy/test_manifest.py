"""The seal of a manifest: any change of a byte breaks it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.deploy.manifest import has_its_checksum, with_checksum

TEXT = json.dumps({"format": 1, "seal": "0" * 64, "name": "größe", "other": "0" * 64}, indent=1) + "\n"


def test_sealed_has_its_seal_and_nothing_else_changed():
    made = with_checksum(TEXT)
    assert has_its_checksum(made.encode())
    assert {**json.loads(made), "seal": "0" * 64} == json.loads(TEXT)
    assert json.loads(made)["other"] == "0" * 64


@given(st.data())
def test_is_sealed_any_change_of_one_byte_breaks_it(data):
    content = with_checksum(TEXT).encode()
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    assert not has_its_checksum(content[:at] + bytes([byte]) + content[at + 1 :])


@pytest.mark.parametrize("content", [b"", TEXT.encode(), b"{}"])
def test_is_sealed_without_a_seal_is_not(content):
    assert not has_its_checksum(content)
