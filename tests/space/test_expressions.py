"""Durations and constraints as text: what is read, written back and refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import UsageError
from explorer.metrics import METRICS, Constraint
from explorer.space.expressions import (
    check_limits,
    constraint_text,
    duration_text,
    parse_constraint,
    parse_duration,
    ratio,
)
from explorer.space.refusal import Refused


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
    assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(("stated", "value"), [("1%", 0.01), ("0.5 %", 0.005), ("0.7%", 0.007), (0.02, 0.02), (0, 0.0)])
def test_ratio_is_a_percentage_or_a_number(stated: object, value: float) -> None:
    assert ratio(stated) == value


@pytest.mark.parametrize("stated", ["1", "-1%", "%", "1e3%", True, None, [1]])
def test_ratio_of_anything_else_is_refused(stated: object) -> None:
    with pytest.raises(Refused, match="expected a percentage such as 1%"):
        ratio(stated)


def test_duration_text_is_short() -> None:
    assert [duration_text(s) for s in (7200.0, 1200.0, 90.0, 0.5)] == ["2h", "20m", 90, 0.5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency_ms <= 1.5", Constraint("latency_ms", "<=", 1.5)),
        ("  latency_ms<=1.5 ", Constraint("latency_ms", "<=", 1.5)),
        ("n_parameters <= 1e6", Constraint("n_parameters", "<=", 1e6)),
        ("accuracy >= .9", Constraint("accuracy", ">=", 0.9)),
        ("accuracy >= 0.95 * baseline", Constraint("accuracy", ">=", 0.95, is_relative=True)),
        ("accuracy >= 9.5e-1*baseline", Constraint("accuracy", ">=", 0.95, is_relative=True)),
        ("latency_ms <= baseline", Constraint("latency_ms", "<=", 1.0, is_relative=True)),
    ],
)
def test_parse_constraint_reads_its_forms(text: str, expected: Constraint) -> None:
    assert parse_constraint(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("latency_ms < 5", "write 'latency_ms <= 5'"),
        ("accuracy > 0.9 * baseline", r"write 'accuracy >= 0.9 \* baseline'"),
        ("latency_ms == 5", "write 'latency_ms <= 5' or 'latency_ms >= 5'"),
        ("latency_ms =< 5", "write 'latency_ms <= 5'"),
        ("latency_ms ≤ 5", "write 'latency_ms <= 5'"),
        ("latencyms <= 5", "'latencyms' is no metric; the metrics are .* did you mean 'latency_ms'"),
        ("5 >= latency_ms", "expected a constraint, 'metric <= number'"),
        ("latency_ms", "expected a constraint"),
        ("", "expected a constraint"),
        ("latency_ms <= five", "expected a number, or a number . baseline, got the text 'five'"),
        ("latency_ms <= ", "expected a number"),
        ("latency_ms <= nan", "expected a number"),
        ("latency_ms <= inf", "expected a number"),
        ("latency_ms <= 1e999", "expected a finite number"),
        ("latency_ms <= 5 ms", "expected a number"),
        ("latency_ms <= 1 <= 2", "expected a number"),
        ("latency_ms <= baseline * 2", "expected a number, or a number . baseline"),
        ("latency_ms <= -1 * baseline", "a positive multiple"),
        ("latency_ms <= __import__('os').getpid()", "expected a number"),
        ("latency_ms <= " + "1" * 10_000, "expected a constraint"),
    ],
)
def test_parse_constraint_of_another_form_names_the_expected_form(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_constraint(text)


CONSTRAINTS = st.builds(
    Constraint,
    st.sampled_from(sorted(METRICS)),
    st.sampled_from(["<=", ">="]),
    st.floats(min_value=1e-300, max_value=1e300),
    st.booleans(),
)


@given(CONSTRAINTS)
def test_constraint_text_reads_back(limit: Constraint) -> None:
    assert parse_constraint(constraint_text(limit)) == limit


@pytest.mark.parametrize(
    ("texts", "at"),
    [
        (("accuracy <= 0.5", "accuracy >= 0.9"), 1),
        (("accuracy >= 0.9", "latency_ms <= 3", "accuracy <= 0.5"), 2),
        (("latency_ms <= 10", "latency_ms >= 5", "latency_ms <= 4"), 2),
        (("latency_ms >= 2 * baseline", "latency_ms <= baseline"), 1),
    ],
)
def test_check_limits_of_a_contradiction_points_at_the_later_one(texts: tuple[str, ...], at: int) -> None:
    with pytest.raises(Refused, match=r"contradicts '.*': no value satisfies both") as caught:
        check_limits([parse_constraint(text) for text in texts])
    assert caught.value.at == (at,)


@pytest.mark.parametrize(
    "texts",
    [
        (),
        ("accuracy <= 0.9", "accuracy >= 0.9"),
        ("accuracy <= 0.5", "latency_ms >= 0.9"),
        ("latency_ms <= 5", "latency_ms >= 10 * baseline"),
        ("latency_ms <= 5", "latency_ms <= 10"),
    ],
)
def test_check_limits_of_what_a_value_can_satisfy_passes(texts: tuple[str, ...]) -> None:
    check_limits([parse_constraint(text) for text in texts])


@given(st.lists(CONSTRAINTS.filter(lambda limit: limit.metric in ("accuracy", "latency_ms")), max_size=6))
def test_check_limits_agrees_with_trying_every_bound(limits: list[Constraint]) -> None:
    def holds(value: float, group: list[Constraint]) -> bool:
        return all(value <= limit.bound if limit.comparison == "<=" else value >= limit.bound for limit in group)

    groups = [
        [limit for limit in limits if (limit.metric, limit.is_relative) == key]
        for key in {(limit.metric, limit.is_relative) for limit in limits}
    ]
    # If any value satisfies a group of bounds, one of the bounds does.
    is_satisfiable = all(any(holds(limit.bound, group) for limit in group) for group in groups)
    if is_satisfiable:
        check_limits(limits)
    else:
        with pytest.raises(Refused, match="contradicts"):
            check_limits(limits)
