from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.data import images
from explorer.data.cache import data_cache
from explorer.data.preparing import prepare
from explorer.data.source import locate
from explorer.errors import DataNotAvailable, UsageError
from explorer.records import Progress
from explorer.space.values import DataSettings

MakeTree = Callable[..., Path]


def quiet(_: Progress) -> None:
    pass


def test_locate_without_path_names_what_is_needed(root: Path, settings: DataSettings) -> None:
    with pytest.raises(UsageError, match=r"image_folder needs data\.path"):
        locate(replace(settings, path=None), root)


def test_locate_missing_folder_names_it_and_the_way_out(root: Path, settings: DataSettings) -> None:
    with pytest.raises(DataNotAvailable, match=r"root/pets\)\. .*--data or EXPLORER_DATA.*digits\.yaml needs no data"):
        locate(settings, root)


@pytest.mark.parametrize("is_tar", [False, True])
def test_prepare_tree_and_tar_give_pixels_and_labels(
    make_tree: MakeTree, make_tar: MakeTree, root: Path, settings: DataSettings, is_tar: bool
) -> None:
    tree = make_tree(root / "pets")
    if is_tar:
        make_tar(tree, root / "pets.tar")
        settings = replace(settings, path="pets.tar")
    dataset = prepare(settings, root, quiet)
    assert (dataset.name, dataset.kind, dataset.facts["classes"]) == ("image_folder", "image folder", ["cat", "dog"])
    assert dataset.input_shape == (3, 8, 6)
    assert dataset.train_inputs.shape == (12, 3, 8, 6)
    assert dataset.test_inputs.shape == (6, 3, 8, 6)
    assert np.bincount(dataset.train_targets).tolist() == [6, 6]
    dogs = {image.transpose(1, 2, 0).tobytes() for image in dataset.train_inputs[dataset.train_targets == 1]}
    assert dogs == {np.asarray(Image.open(path)).tobytes() for path in (tree / "train/dog").iterdir()}
    assert dataset.mean == pytest.approx(dataset.train_inputs.mean(axis=(0, 2, 3)))
    assert dataset.std == pytest.approx(dataset.train_inputs.std(axis=(0, 2, 3)))
    assert np.array_equal(np.load(dataset.test_examples("classification").inputs), dataset.test_inputs)
    assert np.array_equal(np.load(dataset.test_examples("classification").targets), dataset.test_targets)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_prepare_other_color_modes_become_rgb(
    make_tree: MakeTree, root: Path, settings: DataSettings, mode: str
) -> None:
    tree = make_tree(root / "pets")
    image = Image.new("RGB", (6, 8), (255, 255, 255)).convert(mode)
    path = tree / "train/cat" / ("white.jpg" if mode == "CMYK" else "white.png")
    image.save(path, **({"transparency": b"\x00\x7f"} if mode == "P" else {}))
    dataset = prepare(settings, root, quiet)
    assert any((picture == 255).all() for picture in dataset.train_inputs)


def test_prepare_images_of_two_sizes_names_the_file_and_both_sizes(
    make_tree: MakeTree, root: Path, settings: DataSettings
) -> None:
    tree = make_tree(root / "pets")
    Image.new("RGB", (5, 7)).save(tree / "test/dog/odd.png")
    with pytest.raises(DataNotAvailable, match=r"test/dog/odd\.png is 5×7 pixels, but .*\.png has 6×8: resize"):
        prepare(settings, root, quiet)


def test_prepare_wide_image_is_refused_and_named(make_tree: MakeTree, root: Path, settings: DataSettings) -> None:
    tree = make_tree(root / "pets")
    Image.fromarray(np.full((8, 6), 60_000, dtype=np.uint16)).save(tree / "train/cat/wide.png")
    with pytest.raises(DataNotAvailable, match=r"wide\.png has more than eight bits a channel"):
        prepare(settings, root, quiet)


def damaged(content: bytes) -> list[bytes]:
    return [content[: len(content) // 2], b"", b"not an image", content[:8] + bytes(reversed(content[8:]))]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_prepare_damaged_image_is_named_and_leaves_no_entry(
    make_tree: MakeTree, root: Path, settings: DataSettings, suffix: str, which: int
) -> None:
    tree = make_tree(root / "pets", suffix=suffix)
    path = tree / f"train/dog/0003{suffix}"
    path.write_bytes(damaged(path.read_bytes())[which])
    with pytest.raises(DataNotAvailable, match=rf"train/dog/0003\{suffix} cannot be decoded"):
        prepare(settings, root, quiet)
    assert not [
        path for path in data_cache().iterdir() if path.name.startswith((".", "image_folder")) and path.is_dir()
    ]


def test_prepare_training_image_that_is_also_a_test_image_is_refused(
    make_tree: MakeTree, root: Path, settings: DataSettings
) -> None:
    tree = make_tree(root / "pets")
    shutil.copy(tree / "test/cat/0001.png", tree / "train/cat/copy.png")
    sentence = r"1 training images are also test images, such as .*train/cat/copy\.png and .*test/cat/0001\.png"
    with pytest.raises(DataNotAvailable, match=sentence):
        prepare(settings, root, quiet)


def test_prepare_more_pixels_than_memory_is_refused_before_they_are_decoded(
    make_tree: MakeTree, root: Path, settings: DataSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(root / "pets")
    monkeypatch.setattr(images, "memory_mib", lambda: 0)
    with pytest.raises(DataNotAvailable, match=r"^18 images of 6×8 pixels take 0 MiB, and this machine has 0 MiB"):
        prepare(settings, root, lambda _: None)
