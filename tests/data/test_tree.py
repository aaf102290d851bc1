from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.data.tree import first_image, read_tree
from explorer.errors import DataNotAvailable

MakeTree = Callable[..., Path]


def names(location: Path) -> list[str]:
    tree = read_tree(location)
    return [f"{file.split}/{file.class_name}/{file.name}" for file in tree.train + tree.test]


def add(tar: tarfile.TarFile, name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = len(content) if kind == tarfile.REGTYPE else 0
    tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("top", ["", "./", "pets/"])
def test_read_tree_tar_gives_the_folders_images_in_the_same_order(
    make_tree: MakeTree, make_tar: MakeTree, tmp_path: Path, top: str
) -> None:
    folder = make_tree(tmp_path / "tree")
    tar = make_tar(folder, tmp_path / "tree.tar", top)
    assert names(tar) == names(folder)
    in_folder, in_tar = read_tree(folder), read_tree(tar)
    assert [file.content() for file in in_tar.train] == [file.content() for file in in_folder.train]
    assert [file.content() for file in in_tar.test] == [file.content() for file in in_folder.test]


def test_read_tree_order_mixes_the_classes(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = read_tree(make_tree(tmp_path / "tree", n_train=20))
    assert {file.class_name for file in tree.train[:10]} == {"cat", "dog"}


def test_read_tree_unsafe_and_hidden_tar_members_are_passed_over(
    make_tree: MakeTree, make_tar: MakeTree, tmp_path: Path
) -> None:
    tar = make_tar(make_tree(tmp_path / "tree"), tmp_path / "tree.tar")
    before = names(tar)
    with tarfile.open(tar, "a") as archive:
        add(archive, "/train/cat/absolute.png")
        add(archive, "train/cat/../../../outside.png")
        add(archive, "train/cat/symlink.png", kind=tarfile.SYMTYPE, link="/etc/passwd")
        add(archive, "train/cat/hardlink.png", kind=tarfile.LNKTYPE, link="train/cat/0000.png")
        add(archive, "train/cat/device.png", kind=tarfile.CHRTYPE)
        add(archive, "train/cat/._0000.png")
        add(archive, "train/.hidden/0000.png")
        add(archive, "README.md")
    assert names(tar) == before
    assert not (tmp_path / "outside.png").exists()


def test_read_tree_name_twice_in_a_tar_means_the_last(make_tree: MakeTree, make_tar: MakeTree, tmp_path: Path) -> None:
    tar = make_tar(make_tree(tmp_path / "tree"), tmp_path / "tree.tar")
    with tarfile.open(tar, "a") as archive:
        add(archive, "train/cat/0000.png", b"replaced")
    (file,) = (file for file in read_tree(tar).train if (file.class_name, file.name) == ("cat", "0000.png"))
    assert file.content() == b"replaced"


def test_read_tree_damaged_tar_names_the_file(make_tree: MakeTree, make_tar: MakeTree, tmp_path: Path) -> None:
    tar = make_tar(make_tree(tmp_path / "tree"), tmp_path / "tree.tar")
    whole = tar.read_bytes()
    broken_header = bytearray(whole)
    with tarfile.open(tar) as archive:
        offset = archive.getmembers()[10].offset
    broken_header[offset : offset + 16] = b"\xff" * 16
    for content in (whole[: offset + 700], bytes(broken_header), b"", b"no archive at all" * 100):
        tar.write_bytes(content)
        with pytest.raises(DataNotAvailable, match=r"tree\.tar is not a whole, uncompressed \.tar"):
            read_tree(tar)


def without_test(tree: Path) -> None:
    shutil.rmtree(tree / "test")


def class_missing_in_test(tree: Path) -> None:
    shutil.rmtree(tree / "test/dog")


def class_missing_in_train(tree: Path) -> None:
    shutil.rmtree(tree / "train/dog")


def empty_class(tree: Path) -> None:
    for path in (tree / "train/dog").iterdir():
        path.unlink()
    (tree / "train/dog/.gitkeep").write_bytes(b"")


def one_class(tree: Path) -> None:
    shutil.rmtree(tree / "train/dog")
    shutil.rmtree(tree / "test/dog")


def deeper(tree: Path) -> None:
    (tree / "train/dog/more").mkdir()
    (tree / "train/dog/more/0.png").write_bytes(b"x")


FAULTS = [
    (without_test, r"expected train/<class>/\* and test/<class>/\* in .*, but test/ is missing"),
    (class_missing_in_test, "the class 'dog' of .* is in train/ but not in test/"),
    (class_missing_in_train, "the class 'dog' of .* is in test/ but not in train/"),
    (empty_class, "the class 'dog' has no images in train/dog"),
    (one_class, "expected at least two classes in .*, found cat only"),
    (deeper, "found deeper folders at .*train/dog/more"),
]


@pytest.mark.parametrize("as_tar", [False, True])
@pytest.mark.parametrize(("fault", "sentence"), FAULTS)
def test_read_tree_faulty_tree_is_refused_with_the_place(
    make_tree: MakeTree,
    make_tar: MakeTree,
    tmp_path: Path,
    fault: Callable[[Path], None],
    sentence: str,
    as_tar: bool,
) -> None:
    location = make_tree(tmp_path / "tree")
    fault(location)
    if as_tar:
        location = make_tar(location, tmp_path / "tree.tar")
    with pytest.raises(DataNotAvailable, match=sentence):
        read_tree(location)


def test_read_tree_expected_classes_give_the_order_or_an_error(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    assert read_tree(tree, ("dog", "cat")).class_names == ("dog", "cat")
    with pytest.raises(DataNotAvailable, match=r"expected the classes cat, bird in .*, found cat, dog"):
        read_tree(tree, ("cat", "bird"))


def test_read_tree_linked_class_folder_is_read(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / "train/dog").rename(tmp_path / "dogs")
    os.symlink(tmp_path / "dogs", tree / "train/dog")
    assert "train/dog/0000.png" in names(tree)


def test_first_image_is_one_of_the_tree(make_tree: MakeTree, make_tar: MakeTree, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", suffix=".jpg")
    for location in (tree, make_tar(tree, tmp_path / "tree.tar")):
        found = first_image(location)
        assert found is not None
        assert found.name.endswith(".jpg")
