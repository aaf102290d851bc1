from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.data.cifar10 import CLASS_NAMES
from explorer.data.preparing import prepare
from explorer.data.source import locate
from explorer.data.splits import split
from explorer.data.tree import read_tree
from explorer.errors import DataNotAvailable
from explorer.records import Progress
from explorer.space.values import DataSettings
from explorer.tasks.classification import Classification

MakeTree = Callable[..., Path]
SETTINGS = DataSettings("cifar10", validation=10, calibration=5)
REAL_ROOT = os.environ.get("EXPLORER_DATA", "")
HAS_REAL = bool(REAL_ROOT) and Path(REAL_ROOT).is_dir() and any(Path(REAL_ROOT).glob("cifar*10*"))


def quiet(_: Progress) -> None:
    pass


@pytest.fixture
def tree(make_tree: MakeTree, root: Path) -> Path:
    return make_tree(root / "cifar10-small", CLASS_NAMES, n_train=4, n_test=2, size=(32, 32), suffix=".jpg")


def test_locate_prefers_official_folder_then_archive_then_tree_then_tar(
    tree: Path, make_tar: MakeTree, root: Path
) -> None:
    tar = make_tar(tree, root / "cifar10-a.tar")
    folder, archive = root / "cifar-10-batches-py", root / "cifar-10-python.tar.gz"
    folder.mkdir()
    archive.write_bytes(b"x")
    found = [locate(SETTINGS, root)]
    folder.rmdir()
    found.append(locate(SETTINGS, root))
    archive.unlink()
    found.append(locate(SETTINGS, root))
    tree.rename(root / "other")
    found.append(locate(SETTINGS, root))
    assert [source.location for source in found] == [folder, archive, tree, tar]
    assert [source.kind for source in found] == ["official", "official", "JPEG tree", "JPEG tree"]
    assert all(source.is_present for source in found)


def test_locate_png_tree_is_called_so(make_tree: MakeTree, root: Path) -> None:
    make_tree(root / "cifar10", CLASS_NAMES, 1, 1)
    assert locate(SETTINGS, root).kind == "PNG tree"


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("has_root", [True, False])
def test_locate_nothing_and_offline_names_every_place_and_the_way_out(tmp_path: Path, has_root: bool) -> None:
    root = tmp_path / "data"
    if has_root:
        root.mkdir()
        (root / "cifar10-notes").mkdir()
    with pytest.raises(DataNotAvailable) as raised:
        locate(SETTINGS, root)
    sentence = str(raised.value)
    for place in ("cifar-10-batches-py", "cifar-10-python.tar.gz", "cifar10*/{train,test}", "cifar10*.tar"):
        assert f"{root}/{place}" in sentence
    for word in ("cannot be downloaded either", "curl -LO https://", "--data", "EXPLORER_DATA", "digits.yaml"):
        assert word in sentence
    assert root.exists() == has_root


@pytest.mark.usefixtures("offline")
def test_prepare_nothing_and_offline_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataNotAvailable, match="cannot be downloaded either"):
        prepare(SETTINGS, tmp_path / "data", quiet)
    assert not (tmp_path / "data").exists()


def test_locate_root_in_no_folder_names_the_missing_one(tmp_path: Path) -> None:
    with pytest.raises(DataNotAvailable, match=r"there is no folder .*/no/such to put it into"):
        locate(SETTINGS, tmp_path / "no" / "such" / "place")


def test_locate_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(DataNotAvailable, match=r"cannot be downloaded either \(.*/data is a file, and no folder"):
        locate(SETTINGS, tmp_path / "data")


def test_prepare_tar_that_may_not_be_read_is_not_called_damaged(
    tree: Path, make_tar: MakeTree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar = make_tar(tree, tree.parent / "other.tar").rename(root / "cifar10.tar")
    tree.rename(root / "other")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tar))

    monkeypatch.setattr("tarfile.open", refuse)
    with pytest.raises(DataNotAvailable, match=r"cifar10\.tar cannot be read \(Permission denied\): check its permis"):
        prepare(SETTINGS, root, quiet)


def test_prepare_tree_has_the_official_order_of_classes(tree: Path, root: Path) -> None:
    dataset = prepare(SETTINGS, root, quiet)
    assert dataset.facts["classes"] == list(CLASS_NAMES)
    assert dataset.train_inputs.shape == (40, 3, 32, 32)
    expected = [CLASS_NAMES.index(file.class_name) for file in read_tree(tree).test]
    assert dataset.test_targets.tolist() == expected


def test_prepare_copies_of_test_images_are_excluded_from_calibration_only(tree: Path, root: Path) -> None:
    for name in CLASS_NAMES:
        (tree / f"train/{name}/copy.jpg").write_bytes((tree / f"test/{name}/0000.jpg").read_bytes())
    dataset = prepare(SETTINGS, root, quiet)
    splits = split(dataset, SETTINGS, Classification())
    tests = {image.tobytes() for image in dataset.test_inputs}
    assert len(dataset.train_inputs) == 50
    assert not tests & {image.tobytes() for image in np.load(splits.calibration_inputs)}


def test_prepare_image_of_another_size_is_named(tree: Path, root: Path) -> None:
    Image.new("RGB", (31, 32)).save(tree / "train/cat/odd.png")
    with pytest.raises(DataNotAvailable, match=r"cat/odd\.png is 31×32 pixels, but the data set's images have 32×32"):
        prepare(SETTINGS, root, quiet)


def test_prepare_foreign_class_is_refused(make_tree: MakeTree, root: Path) -> None:
    make_tree(root / "cifar10", (*CLASS_NAMES[:-1], "lorry"), 1, 1)
    with pytest.raises(DataNotAvailable, match=r"expected the classes airplane, .*, truck in .*, found .*lorry"):
        prepare(SETTINGS, root, quiet)


def test_prepare_damaged_official_folder_is_refused(root: Path) -> None:
    (root / "cifar-10-batches-py").mkdir()
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"half")
    with pytest.raises(DataNotAvailable, match="cifar-10-batches-py is not the official CIFAR-10"):
        prepare(SETTINGS, root, quiet)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_REAL, reason="EXPLORER_DATA names no folder with CIFAR-10")
def test_prepare_real_cifar10_is_whole_and_splits_are_stratified() -> None:
    settings = DataSettings("cifar10", validation=5000, calibration=512)
    dataset = prepare(settings, Path(REAL_ROOT), quiet)
    assert dataset.facts["classes"] == list(CLASS_NAMES)
    assert dataset.train_inputs.shape == (50_000, 3, 32, 32)
    assert np.bincount(dataset.train_targets).tolist() == [5000] * 10
    assert np.bincount(dataset.test_targets).tolist() == [1000] * 10
    assert dataset.mean == pytest.approx((125.3, 123.0, 113.9), abs=0.5)
    splits = split(dataset, settings, Classification())
    assert np.bincount(dataset.train_targets[splits.validation]).tolist() == [500] * 10
    assert np.bincount(dataset.train_targets[splits.calibration]).tolist() == [52] * 2 + [51] * 8
    assert not set(splits.validation.tolist()) & set(splits.training.tolist())
    again = prepare(settings, Path(REAL_ROOT), quiet)
    assert again.fingerprint == dataset.fingerprint
    assert split(again, settings, Classification()).fingerprint == splits.fingerprint
    if dataset.kind == "JPEG tree":
        assert np.bincount(dataset.test_targets[:1000], minlength=10).min() > 50
