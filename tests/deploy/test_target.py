from __future__ import annotations

import errno
import os
import time

import pytest

from explorer.deploy.target import check_target, target_folder
from explorer.errors import ExplorerError, UsageError


def test_target_new_folder_appears_whole(tmp_path):
    target = tmp_path / "deep" / "bundle"
    check_target(target, is_forced=False)
    with target_folder(target) as draft:
        (draft / "manifest.json").write_text("{}")
        assert not target.exists()
    assert (target / "manifest.json").read_text() == "{}"
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


def test_target_interrupted_leaves_nothing(tmp_path):
    def interrupted(draft):
        (draft / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), target_folder(tmp_path / "bundle") as draft:
        interrupted(draft)
    assert list(tmp_path.iterdir()) == []


def test_target_removes_what_a_killed_export_to_the_same_place_left_a_day_ago(tmp_path):
    old, young, other = (tmp_path / name for name in (".b[1].aa.tmp", ".b[1].bb.tmp", ".b1.cc.tmp"))
    for draft in (old, young, other):
        draft.mkdir()
    for draft in (old, other):
        os.utime(draft, (time.time() - 2 * 86_400, time.time() - 2 * 86_400))
    with target_folder(tmp_path / "b[1]") as draft:
        (draft / "manifest.json").write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, young.name, "b[1]"]


def test_target_existing_needs_force(tmp_path):
    (tmp_path / "manifest.json").write_text("old")
    with pytest.raises(UsageError, match="is there already: name another folder with -o, or replace it with --force"):
        check_target(tmp_path, is_forced=False)
    check_target(tmp_path, is_forced=True)


def test_target_forced_is_replaced_whole(tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "manifest.json").write_text("old")
    (target / "surplus").write_text("old")
    with target_folder(target) as draft:
        (draft / "manifest.json").write_text("new")
        assert (target / "manifest.json").read_text() == "old"
    assert {path.name: path.read_text() for path in target.iterdir()} == {"manifest.json": "new"}
    assert list(tmp_path.iterdir()) == [target]


def test_target_of_someone_elses_is_not_replaced_even_by_force(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="is not an earlier export, and --force replaces nothing else"):
        check_target(tmp_path, is_forced=True)


def test_target_file_or_link_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(UsageError, match="is not a folder"):
            check_target(tmp_path / name, is_forced=True)


def test_target_empty_folder_is_taken(tmp_path):
    check_target(tmp_path / "absent", is_forced=False)
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty", is_forced=False)
    with target_folder(tmp_path / "empty") as draft:
        (draft / "a").write_text("")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [(errno.ENOSPC, ExplorerError, "the disk of .* is full"), (errno.EACCES, UsageError, "cannot be written")],
)
def test_target_that_cannot_be_written_is_one_sentence(tmp_path, number, kind, message):
    with pytest.raises(kind, match=message), target_folder(tmp_path / "bundle"):
        raise OSError(number, "words")
    assert list(tmp_path.iterdir()) == []


def test_target_of_300_letters_is_a_sentence_and_leaves_nothing(tmp_path):
    target = tmp_path / ("x" * 300)
    check_target(target, is_forced=False)
    says = r"x cannot be written \(File name too long\): name another place with -o"
    with pytest.raises(UsageError, match=says), target_folder(target):
        pytest.fail("there is a folder of that name")
    assert list(tmp_path.iterdir()) == []
