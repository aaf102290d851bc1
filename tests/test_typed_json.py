"""What the strict reader says of values that it refuses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from explorer.typed_json import from_json


@dataclass(frozen=True)
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("expected an even number")


def test_error_of_a_value_has_its_own_words_alone():
    with pytest.raises(TypeError, match=r"^count\.?: expected an even number, got"):
        from_json(Even, {"number": 3}, "count")
