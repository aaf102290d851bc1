from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explorer.data import prepare, split
from explorer.data.cache import data_cache
from explorer.errors import DataNotAvailable
from explorer.records import Progress
from explorer.space.values import DataSettings

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
    assert np.array_equal(second.train_images, first.train_images)


@pytest.mark.parametrize("stage", ["decode images", "write decoded images"])
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
    assert len(prepare(settings, root, quiet).train_images) == 12


def test_prepare_truncated_entry_is_decoded_again(make_tree: MakeTree, root: Path, settings: DataSettings) -> None:
    make_tree(root / "pets")
    dataset = prepare(settings, root, quiet)
    expected = np.array(dataset.train_images)
    os.truncate(dataset.folder / "train_images.npy", 300)
    assert np.array_equal(prepare(settings, root, quiet).train_images, expected)


def test_prepare_changed_source_has_an_entry_of_its_own(
    make_tree: MakeTree, root: Path, settings: DataSettings
) -> None:
    tree = make_tree(root / "pets")
    before = prepare(settings, root, quiet)
    (tree / "train/cat/0000.png").unlink()
    after = prepare(settings, root, quiet)
    assert after.fingerprint != before.fingerprint
    assert after.folder != before.folder
    assert (len(before.train_images), len(after.train_images)) == (12, 11)


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
    assert (dataset.kind, dataset.image_shape, dataset.n_classes) == ("scikit-learn", (1, 8, 8), 10)
    assert len(dataset.train_images) + len(dataset.test_images) == 1797
    assert len(dataset.test_images) == 359
    shares = np.bincount(dataset.test_labels) / np.bincount(np.concatenate([dataset.train_labels, dataset.test_labels]))
    assert np.abs(shares - 0.2).max() < 0.01
    assert dataset.train_images.max() == 255
    assert set(np.unique(dataset.train_images)) <= set(np.rint(np.arange(17) * 255 / 16).astype(int))
    splits = split(dataset, settings)
    assert (len(splits.training), len(splits.validation), len(splits.calibration)) == (1438 - 200, 200, 64)
