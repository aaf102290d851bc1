"""Arrays of numbers from files, as bundles read them."""

from __future__ import annotations

import io

import numpy as np
import pytest

from explorer.deploy.export.bundle_model import find
from explorer.tasks import array_files


@pytest.mark.parametrize("content", [b"1, 2.5,-3", b"1 2.5\n-3\n"])
def test_read_text_gives_float32(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    for file in (tmp_path / "a.csv", io.BytesIO(content)):
        made = array_files.read(file, [3])
        assert made.dtype == np.float32
        assert made.tolist() == [1.0, 2.5, -3.0]


def test_read_npy_keeps_the_type(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert array_files.read(tmp_path / "a.npy", [3, 2]).tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("content", [b"1, 2", b"one, two, three", b"\xff\xfe\xfd", b"\x93NUMPY\x01\x00", b""])
def test_read_what_is_no_input_is_unreadable(content):
    with pytest.raises(array_files.UnreadableFile, match="not an array of numbers"):
        array_files.read(io.BytesIO(content), [3])


def test_read_objects_are_unreadable(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(array_files.UnreadableFile, match="not an array of numbers"):
        array_files.read(tmp_path / "a.npy", [1])


def test_find_lists_arrays_in_folders_by_name(tmp_path):
    for name in ("b.npy", "a.csv", "c.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert find([tmp_path], array_files.SUFFIXES) == [tmp_path / "a.csv", tmp_path / "b.npy"]


def test_answer_is_said_in_one_line():
    made = array_files.answer(np.array([1.5, -2.0], np.float32), {})
    assert made == {"output": [1.5, -2.0]}
    assert array_files.text(made) == "1.5, -2"
