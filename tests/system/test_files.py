"""Files of strangers: read where they are files, refused without waiting where they are anything else."""

from __future__ import annotations

import os

import pytest

from explorer.system.files import open_plain, read_plain_text


def test_open_plain_file_is_read_also_through_a_link(tmp_path):
    (tmp_path / "a").write_bytes(b"\xc3\xa4")
    (tmp_path / "b").symlink_to("a")
    with open_plain(tmp_path / "b") as file:
        assert file.read() == b"\xc3\xa4"
    assert read_plain_text(tmp_path / "a") == "\u00e4"


def test_open_plain_pipe_or_folder_or_device_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("pipe", "folder", "device"):
        with pytest.raises(ValueError, match=f"{name} is not a regular file"):
            open_plain(tmp_path / name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_open_plain_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "nothing")


def test_read_plain_text_that_is_none_is_a_value_error(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_plain_text(tmp_path / "a")
