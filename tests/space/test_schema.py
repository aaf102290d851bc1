from __future__ import annotations

import pytest

from explorer.metrics import Constraint, Objective
from explorer.space.refusal import Refused
from explorer.space.schema import Section, SpaceSection, read_constraints, read_objectives


def test_read_objectives_keeps_the_order() -> None:
    raw = {"latency_ms": "minimize", "accuracy": "maximize", "energy_mj": "minimize"}
    assert [objective.metric for objective in read_objectives(raw)] == list(raw)
    assert read_objectives({"accuracy": "maximize"}) == (Objective("accuracy", "maximize"),)


@pytest.mark.parametrize("raw", [None, ["accuracy"], "accuracy", {}])
def test_read_objectives_of_another_shape_shows_one(raw: object) -> None:
    with pytest.raises(Refused, match="such as 'accuracy: maximize'"):
        read_objectives(raw)


@pytest.mark.parametrize("direction", [None, "down", 1, "maximize"])
def test_read_objectives_of_a_wrong_direction_shows_the_right_one(direction: object) -> None:
    with pytest.raises(Refused, match="minimize") as caught:
        read_objectives({"latency_ms": direction})
    assert caught.value.at == ("latency_ms",)


def test_read_constraints_reads_every_line() -> None:
    assert read_constraints(["latency_ms <= 2", "accuracy >= baseline"]) == (
        Constraint("latency_ms", "<=", 2.0),
        Constraint("accuracy", ">=", 1.0, is_relative=True),
    )


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        (None, ()),
        ("latency_ms <= 2", ()),
        ({"latency_ms": 2}, ()),
        (["latency_ms <= 2", 3], (1,)),
        (["latency_ms <= 2", "accuracy >= 0.5", "latency_ms >= 3"], (2,)),
    ],
)
def test_read_constraints_of_anything_else_points_at_it(raw: object, at: tuple[int, ...]) -> None:
    with pytest.raises(Refused, match=r"expected a (list|constraint)|contradicts") as caught:
        read_constraints(raw)
    assert caught.value.at == at


def _sections(section: type[Section]) -> set[type[Section]]:
    inner = {field.annotation for field in section.model_fields.values()}
    nested = {kind for kind in inner if isinstance(kind, type) and issubclass(kind, Section)}
    return {section}.union(*map(_sections, nested))


def test_every_section_refuses_unknown_keys_and_conversions() -> None:
    sections = _sections(SpaceSection)
    assert len(sections) == 7
    for section in sections:
        assert section.model_config["extra"] == "forbid"
        assert section.model_config["strict"] is True
