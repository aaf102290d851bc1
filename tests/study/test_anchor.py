"""The anchor's reference: kept for a study's life, for one artifact, and never guessed."""

from __future__ import annotations

import pytest
from fakes import small_space

from explorer.measure.drift_correction import Reference
from explorer.study.anchor import anchor_variant, copy_reference, read_reference, store_reference

FIRST, SECOND = Reference(7.5e5, 1e5), Reference(9e5, 1.1e5)


def test_read_reference_gives_what_was_kept_for_the_same_artifact_only(tmp_path):
    assert read_reference(tmp_path, "a") is None
    store_reference(tmp_path, "a", FIRST)
    assert read_reference(tmp_path, "a") == FIRST
    assert read_reference(tmp_path, "b") is None
    assert read_reference(tmp_path, None) is None


def test_read_reference_without_an_anchor_is_the_pulses(tmp_path):
    store_reference(tmp_path, None, Reference(None, 1e5))
    assert read_reference(tmp_path, None) == Reference(None, 1e5)
    assert read_reference(tmp_path, "a") == Reference(None, 1e5)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"artifact": "a"}',
        '{"artifact": "a", "anchor_ns": "x", "pulse_ns": 1}',
        '{"artifact": "a", "anchor_ns": 0, "pulse_ns": 1}',
        '{"artifact": "a", "anchor_ns": NaN, "pulse_ns": 1}',
        '{"artifact": "a", "anchor_ns": null, "pulse_ns": 1}',
        '{"artifact": "a", "anchor_ns": 1}',
        '{"artifact": ["a"], "anchor_ns": 1, "pulse_ns": 1}',
        f'{{"artifact": "a", "anchor_ns": {10**400}, "pulse_ns": 1}}',
        "[" * 100_000,
    ],
)
def test_read_reference_damaged_file_is_none_and_is_not_copied(tmp_path, content):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    (old / "anchor.json").write_text(content)
    assert read_reference(old, "a") is None
    copy_reference(old, new)
    assert list(new.iterdir()) == []


def test_copy_reference_does_not_replace_one(tmp_path):
    old, new, third = tmp_path / "old", tmp_path / "new", tmp_path / "third"
    for folder in (old, new, third):
        folder.mkdir()
    copy_reference(old, new)
    assert list(new.iterdir()) == []
    store_reference(old, "a", FIRST)
    store_reference(third, "a", SECOND)
    copy_reference(old, new)
    copy_reference(old, third)
    assert (read_reference(new, "a"), read_reference(third, "a")) == (FIRST, SECOND)


def test_anchor_variant_is_the_baselines_network_in_one_thread(tmp_path):
    space = small_space(threads=(2,), batch_size=(8,))
    anchor = anchor_variant(space)
    assert anchor == space.baseline().replaced(runtime="onnxruntime", batch_size=1, threads=1)
