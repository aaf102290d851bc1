from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explorer.data.cache import data_cache
from explorer.data.preparing import fingerprint, prepare, signature
from explorer.data.splits import split
from explorer.errors import DataNotAvailable
from explorer.records import Progress
from explorer.space.values import DataSettings
from explorer.tasks.classification import Classification


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


MakeTree = Callable[..., Path]


def quiet(_: Progress) -> None:
    pass


def test_prepare_progress_goes_up_to_the_number_of_images(
    make_tree: MakeTree, root: Path, settings: DataSettings
) -> None:
    make_tree(root / "pets")
    seen: list[Progress] = []
    prepare(settings, root, seen.append)
    decoding = [progress for progress in seen if progress.stage == "decode images"]
    assert (decoding[0].done, decoding[0].total) == (0, 18)
    assert (decoding[-1].done, decoding[-1].total) == (18, 18)


def test_prepare_second_time_decodes_nothing(make_tree: MakeTree, root: Path, settings: DataSettings) -> None:
    make_tree(root / "pets")
    first = prepare(settings, root, quiet)
    seen: list[Progress] = []
    second = prepare(settings, root, seen.append)
    assert seen == []
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(second.train_inputs, first.train_inputs)


@pytest.mark.parametrize("stage", ["decode images", "write decoded data"])
def test_prepare_interrupted_leaves_no_entry_and_the_next_succeeds(
    make_tree: MakeTree, root: Path, settings: DataSettings, stage: str
) -> None:
    make_tree(root / "pets")

    def interrupt(progress: Progress) -> None:
        if progress.stage == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(settings, root, interrupt)
    assert {path.name for path in data_cache().iterdir() if path.is_dir()} == {"fingerprints"}
    assert len(prepare(settings, root, quiet).train_inputs) == 12


def test_prepare_truncated_entry_is_decoded_again(make_tree: MakeTree, root: Path, settings: DataSettings) -> None:
    make_tree(root / "pets")
    dataset = prepare(settings, root, quiet)
    expected = np.array(dataset.train_inputs)
    os.truncate(dataset.folder / "train_inputs.npy", 300)
    assert np.array_equal(prepare(settings, root, quiet).train_inputs, expected)


def test_prepare_changed_source_has_an_entry_of_its_own(
    make_tree: MakeTree, root: Path, settings: DataSettings
) -> None:
    tree = make_tree(root / "pets")
    before = prepare(settings, root, quiet)
    (tree / "train/cat/0000.png").unlink()
    after = prepare(settings, root, quiet)
    assert after.fingerprint != before.fingerprint
    assert after.folder != before.folder
    assert (len(before.train_inputs), len(after.train_inputs)) == (12, 11)


def test_prepare_source_that_changes_meanwhile_is_refused(
    make_tree: MakeTree, root: Path, settings: DataSettings
) -> None:
    tree = make_tree(root / "pets")

    def change(progress: Progress) -> None:
        if progress.done:
            (tree / "train/cat/0000.png").unlink(missing_ok=True)

    with pytest.raises(DataNotAvailable, match="changed while they were read"):
        prepare(settings, root, change)


def test_prepare_digits_needs_no_folder(tmp_path: Path) -> None:
    settings = DataSettings("digits", validation=200, calibration=64)
    dataset = prepare(settings, tmp_path / "nowhere", quiet)
    assert (dataset.kind, dataset.input_shape, len(dataset.facts["classes"])) == ("scikit-learn", (1, 8, 8), 10)
    assert len(dataset.train_inputs) + len(dataset.test_inputs) == 1797
    assert len(dataset.test_inputs) == 359
    shares = np.bincount(dataset.test_targets) / np.bincount(
        np.concatenate([dataset.train_targets, dataset.test_targets])
    )
    assert np.abs(shares - 0.2).max() < 0.01
    assert dataset.train_inputs.max() == 255
    assert set(np.unique(dataset.train_inputs)) <= set(np.rint(np.arange(17) * 255 / 16).astype(int))
    splits = split(dataset, settings, Classification())
    assert (len(splits.training), len(splits.validation), len(splits.calibration)) == (1438 - 200, 200, 64)
