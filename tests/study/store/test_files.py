import os

import numpy as np
import pytest
from odd_archives import odd_archives

from explorer.errors import StudyError
from explorer.study.store.files import has_sample_examples, read_sample_examples, store_sample_examples


class Space:
    """What `store_sample_examples` asks of a search space."""

    def __init__(self, *sizes):
        self.parameters = {"batch_size": type("Sizes", (), {"values": sizes})}


@pytest.fixture
def arrays(tmp_path):
    images, labels = np.arange(60 * 12, dtype=np.uint8).reshape(60, 3, 2, 2), np.arange(60)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    return tmp_path, images, labels


@pytest.mark.parametrize(("sizes", "n"), [((1,), 16), ((1, 32), 32), ((100,), 60)])
def test_sample_examples_are_the_first_ones_as_many_as_the_largest_batch(arrays, sizes, n):
    folder, images, labels = arrays
    assert not has_sample_examples(folder)
    store_sample_examples(folder, folder / "images.npy", folder / "labels.npy", Space(*sizes))
    assert has_sample_examples(folder)
    kept_images, kept_labels = read_sample_examples(folder)
    np.testing.assert_array_equal(kept_images, images[:n])
    np.testing.assert_array_equal(kept_labels, labels[:n])


def test_sample_examples_once_kept_are_left_alone(arrays):
    folder, _, _ = arrays
    (folder / "samples.npz").write_bytes(b"kept")
    store_sample_examples(folder, folder / "images.npy", folder / "labels.npy", Space(1))
    assert (folder / "samples.npz").read_bytes() == b"kept"


def test_sample_examples_that_do_not_read_are_one_sentence(tmp_path):
    with pytest.raises(StudyError, match=r"samples\.npz do not read .*--data"):
        read_sample_examples(tmp_path)
    (tmp_path / "samples.npz").write_bytes(b"no archive")
    with pytest.raises(StudyError, match="do not read"):
        read_sample_examples(tmp_path)
    np.savez(tmp_path / "samples.npz", inputs=np.zeros((3, 2)), targets=np.zeros(4))
    with pytest.raises(StudyError, match="does not hold inputs and their targets"):
        read_sample_examples(tmp_path)


@pytest.mark.parametrize("content", odd_archives("inputs", "targets"))
def test_sample_examples_that_look_whole_and_do_not_read_are_one_sentence(tmp_path, content):
    (tmp_path / "samples.npz").write_bytes(content)
    with pytest.raises(StudyError, match=r"samples\.npz do not read .*--data"):
        read_sample_examples(tmp_path)


def test_sample_examples_that_are_one_array_are_one_sentence(tmp_path):
    with (tmp_path / "samples.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(StudyError, match=r"samples\.npz do not read"):
        read_sample_examples(tmp_path)


def test_sample_examples_that_are_a_pipe_are_one_sentence(tmp_path):
    os.mkfifo(tmp_path / "samples.npz")
    with pytest.raises(StudyError, match=r"samples\.npz do not read .*not a regular file"):
        read_sample_examples(tmp_path)
