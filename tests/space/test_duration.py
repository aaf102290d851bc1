import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import UsageError
from explorer.space.duration import duration_s, duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("15m", 900.0), ("2h", 7200.0), ("1.5m", 90.0), ("0.5", 0.5)]
)
def test_parse_duration_gives_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-5m", "m", "1d", "1 m", "1h30m", "1e3", "nan", "inf", "٣", "9" * 400])
def test_parse_duration_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a duration such as 90, 90s, 15m or 2h"):
        parse_duration(text)


@given(st.one_of(st.integers(1, 10**12).map(float), st.floats(min_value=0, exclude_min=True, allow_infinity=False)))
def test_duration_text_reads_back(seconds: float) -> None:
    assert duration_s(duration_text(seconds)) == seconds


def test_duration_text_is_short() -> None:
    assert [duration_text(s) for s in (7200.0, 1200.0, 90.0, 0.5)] == ["2h", "20m", 90, 0.5]
