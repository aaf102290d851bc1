"""The anchor: the same work everywhere, and what this machine remembers of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from explorer.measure.anchor import PARTS, anchor_parts, known_level_ns, learned_level_ns, level_file, own_level_ns

LEVEL_NS = np.array([1e5, 5e4, 6e4])


def slices(n: int, slowness: float = 1.0, seed: int = 0):
    """Medians of n slices, within 0.5 % of the level times the slowness."""
    return slowness * LEVEL_NS * np.random.default_rng(seed).normal(1.0, 0.002, (n, len(PARTS)))


def test_anchor_has_a_call_for_each_part():
    parts = anchor_parts()
    assert len(parts) == len(PARTS)
    for part in parts:
        part()


def test_level_is_remembered_by_the_next_process(tmp_path):
    file = tmp_path / "machine" / "anchor.json"
    assert known_level_ns(file) is None
    level = learned_level_ns(slices(40), file)
    assert level == pytest.approx(LEVEL_NS, rel=0.002)
    assert known_level_ns(file) == pytest.approx(level)


def test_level_falls_within_a_second_of_the_quiet_state_and_does_not_rise_in_minutes_of_the_slow_one(tmp_path):
    file = tmp_path / "anchor.json"
    assert learned_level_ns(slices(4000, 1.35), file) == pytest.approx(1.35 * LEVEL_NS, rel=0.002)
    assert learned_level_ns(slices(30), file) == pytest.approx(LEVEL_NS, rel=0.002)
    learned_level_ns(slices(400), file)
    for turn in range(10):
        level = learned_level_ns(slices(400, 1.35, turn), file)
    assert level == pytest.approx(LEVEL_NS, rel=0.002)


def test_level_of_a_machine_that_became_slower_is_forgotten_in_the_end(tmp_path):
    file = tmp_path / "anchor.json"
    learned_level_ns(slices(4000), file)
    for turn in range(100):
        level = learned_level_ns(slices(500, 1.35, turn), file)
    assert level == pytest.approx(1.35 * LEVEL_NS, rel=0.002)


def test_level_file_belongs_to_machine_processor_and_library(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    before = level_file()
    assert before.parent == tmp_path / "machine"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "another")
        assert level_file() != before
    monkeypatch.setattr("explorer.system.environment.packages", lambda: {"numpy": "0"})
    assert level_file() != before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"counts": 1}',
        '{"counts": []}',
        '{"counts": [{"1": 1}]}',
        '{"counts": [{"1": 1}, {}, {"1": 1}]}',
        '{"counts": [{"1": "x"}, {"1": 1}, {"1": 1}]}',
        '{"counts": [{"1": -1}, {"1": 1}, {"1": 1}]}',
        '{"counts": [{"999999999": 1}, {"1": 1}, {"1": 1}]}',
        '{"counts": [{"1": NaN}, {"1": 1}, {"1": 1}]}',
        '{"counts": [{"' + "1" * 400 + '": 1}, {"1": 1}, {"1": 1}]}',
        '{"counts": [{"1": 1e999}, {"1": 1}, {"1": 1}]}',
        '{"counts": ' + "[" * 100_000,
    ],
)
def test_level_damaged_file_is_learned_anew(tmp_path, content):
    file = tmp_path / "anchor.json"
    file.write_text(content)
    assert known_level_ns(file) is None
    assert learned_level_ns(slices(40), file) == pytest.approx(LEVEL_NS, rel=0.002)
    assert len(json.loads(file.read_text())["counts"]) == len(PARTS)


def test_level_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    level = learned_level_ns(slices(40), tmp_path / "file" / "anchor.json")
    assert level == pytest.approx(own_level_ns(slices(40)), rel=0.002)
