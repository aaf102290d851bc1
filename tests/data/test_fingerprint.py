from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.data.cache import data_cache
from explorer.data.fingerprint import fingerprint, signature


def test_fingerprint_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"content")
    assert fingerprint(tmp_path / "a.tar") == hashlib.sha256(b"content").hexdigest()


def test_fingerprint_equal_trees_at_other_places_are_equal(make_tree: Callable[..., Path], tmp_path: Path) -> None:
    first, second = make_tree(tmp_path / "one"), make_tree(tmp_path / "two")
    assert fingerprint(first) == fingerprint(second)


def test_fingerprint_renamed_file_differs_hidden_file_does_not(make_tree: Callable[..., Path], tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    before = fingerprint(tree)
    (tree / "train" / ".DS_Store").write_bytes(b"x")
    assert fingerprint(tree) == before
    (tree / "train/cat/0000.png").rename(tree / "train/cat/renamed.png")
    assert fingerprint(tree) != before


def test_fingerprint_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    file.write_bytes(b"content")
    before, status = fingerprint(file), file.stat()
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(file) == before
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert fingerprint(file) == hashlib.sha256(b"CONTENT").hexdigest()


@pytest.mark.parametrize("memo", ["", "[]", '{"signature": null}', "{"])
def test_fingerprint_damaged_memo_is_replaced(tmp_path: Path, memo: str) -> None:
    file = tmp_path / "a.tar"
    file.write_bytes(b"content")
    before = fingerprint(file)
    (path,) = (data_cache() / "fingerprints").iterdir()
    path.write_text(memo)
    assert fingerprint(file) == before
    assert path.read_text() != memo


def test_signature_changed_content_of_a_tree_differs(make_tree: Callable[..., Path], tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    before = signature(tree)
    (tree / "test/dog/0001.png").write_bytes(b"shorter")
    assert signature(tree) != before
