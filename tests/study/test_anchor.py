"""The anchor's reference: kept for a study's life, for one artifact, and never guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import small_space

from explorer.study.anchor import anchor_variant, copy_reference, keep_reference, read_reference


def test_read_reference_gives_what_was_kept_for_the_same_artifact_only(tmp_path):
    assert read_reference(tmp_path, "a") is None
    keep_reference(tmp_path, "a", 0.75)
    assert read_reference(tmp_path, "a") == 0.75
    assert read_reference(tmp_path, "b") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"artifact": "a"}',
        '{"artifact": "a", "reference_ms": "x"}',
        '{"artifact": "a", "reference_ms": 0}',
        '{"artifact": "a", "reference_ms": NaN}',
        '{"artifact": "a", "reference_ms": null}',
    ],
)
def test_read_reference_damaged_file_is_none(tmp_path, content):
    (tmp_path / "anchor.json").write_text(content)
    assert read_reference(tmp_path, "a") is None


def test_copy_reference_does_not_replace_one(tmp_path):
    old, new, third = tmp_path / "old", tmp_path / "new", tmp_path / "third"
    for folder in (old, new, third):
        folder.mkdir()
    copy_reference(old, new)
    assert list(new.iterdir()) == []
    keep_reference(old, "a", 0.5)
    keep_reference(third, "a", 0.9)
    copy_reference(old, new)
    copy_reference(old, third)
    assert (read_reference(new, "a"), read_reference(third, "a")) == (0.5, 0.9)


def test_anchor_variant_is_the_baselines_network_in_one_thread(tmp_path):
    space = small_space(threads=(2,), batch_size=(8,))
    anchor = anchor_variant(space)
    assert anchor == replace(space.baseline(), runtime="onnxruntime", batch_size=1, threads=1)
