"""A stranger's folder: nothing is followed out of it, and what is held open stays what it was."""

from __future__ import annotations

import hashlib
import os

import pytest

from explorer.deploy.folder import PlainFolder
from explorer.deploy.manifest import FileFacts
from explorer.errors import VerificationFailed


@pytest.fixture
def place(tmp_path):
    """A folder with a file, and a file in its model folder."""
    (tmp_path / "in" / "model").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_bytes(b"hello")
    (tmp_path / "in" / "model" / "b.txt").write_bytes(b"world")
    return tmp_path / "in"


def test_names_are_those_of_both_folders(place):
    with PlainFolder(place) as plain:
        assert plain.names() == ["a.txt", "model/b.txt"]
        assert plain.size("model/b.txt") == 5
        assert plain.read("a.txt", 5) == b"hello"


def test_read_more_than_allowed_is_refused(place):
    with PlainFolder(place) as plain, pytest.raises(VerificationFailed, match=r"a.txt has more than the 4 bytes"):
        plain.read("a.txt", 4)


def test_read_known_other_content_is_refused_and_the_right_one_comes_back(place):
    right = FileFacts(sha256=hashlib.sha256(b"hello").hexdigest(), bytes=5)
    with PlainFolder(place) as plain:
        assert plain.read_known("a.txt", right) == b"hello"
        with pytest.raises(VerificationFailed, match=r"model/b.txt is not the file of the manifest"):
            plain.read_known("model/b.txt", right)


def test_read_folder_exchanged_meanwhile_is_the_one_that_was_opened(place, tmp_path):
    with PlainFolder(place) as plain:
        assert plain.names() == ["a.txt", "model/b.txt"]
        place.rename(tmp_path / "moved")
        place.mkdir()
        (place / "a.txt").symlink_to("/etc/passwd")
        (tmp_path / "moved" / "model").rename(tmp_path / "moved" / "other")
        assert plain.read("a.txt", 100) == b"hello"
        assert plain.read("model/b.txt", 100) == b"world"


def test_read_device_is_refused(place, monkeypatch):
    with PlainFolder(place) as plain:
        monkeypatch.setitem(plain._folders, "model", os.open("/dev", os.O_RDONLY))
        with pytest.raises(VerificationFailed, match=r"model/zero is not a regular file"):
            plain.read("model/zero", 10)


def test_closed_folder_leaves_no_descriptor_open(place):
    before = os.listdir("/proc/self/fd")
    with PlainFolder(place) as plain:
        plain.names()
        plain.size("a.txt")
        with pytest.raises(VerificationFailed, match="missing"):
            plain.size("c.txt")
    assert os.listdir("/proc/self/fd") == before
