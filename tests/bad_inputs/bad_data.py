"""Data that cannot be used: folders, archives and images, damaged, misplaced or made to do harm."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from bad_case import Case
from PIL import Image

SPACE = """\
name: pets
model: slimmable_cnn
training: {{recipe: quick}}
data: {{name: image_folder, path: "{path}", validation: {validation}, calibration: 2}}
objectives: {{accuracy: maximize}}
"""
CIFAR = "name: pets\nmodel: slimmable_cnn\ndata: {name: cifar10}\nobjectives: {accuracy: maximize}\n"
START = ("start", "pets.yaml", "--data", "data", "--studies", "studies", "--no-dashboard", "--quiet")
CHECK = ("check", "pets.yaml", "--data", "data", "--json")
_ESCAPE = "\x1b]0;owned\x07"


def space(work: Path, path: str = "pets", validation: int = 4) -> Path:
    """Write the search space, and return where its data are to be."""
    (work / "pets.yaml").write_text(SPACE.format(path=path, validation=validation))
    return work / "data" / "pets"


def tree(folder: Path, size: tuple[int, int] = (8, 6), classes: Sequence[str] = ("cat", "dog")) -> Path:
    """Six training and three test images of each class, all different."""
    random = np.random.default_rng(0)
    for split, n in (("train", 6), ("test", 3)):
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            for number in range(n):
                pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


def pets(change: Callable[[Path], object], validation: int = 4) -> Callable[[Path], None]:
    """A sound data folder, and then `change`."""

    def make(work: Path) -> None:
        change(tree(space(work, validation=validation)))

    return make


def _png_of(width: int, height: int) -> bytes:
    """The head of an image of that size, and nothing of its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _jpeg_cut(folder: Path) -> None:
    target = folder / "train/cat/0.jpg"
    Image.open(folder / "train/cat/0.png").save(target)
    (folder / "train/cat/0.png").unlink()
    target.write_bytes(target.read_bytes()[:200])


def _gray(folder: Path) -> None:
    for path in folder.glob("*/cat/*.png"):
        Image.open(path).convert("L").save(path)


def _wide_gray(folder: Path) -> None:
    Image.fromarray(np.full((8, 6), 60_000, dtype=np.uint16)).save(folder / "train/cat/0.png")


def _wide(work: Path) -> None:
    tree(space(work), size=(1, 9000))


def _unlabeled(work: Path) -> None:
    folder = space(work)
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        Image.new("RGB", (6, 8)).save(folder / split / "0.png")


def _one_class(folder: Path) -> None:
    for split in ("train", "test"):
        for path in (folder / split / "dog").iterdir():
            path.unlink()
        (folder / split / "dog").rmdir()


def _remove_all(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


def _overlapping(folder: Path) -> None:
    (folder / "test/dog/renamed.png").write_bytes((folder / "train/cat/3.png").read_bytes())


def _all_the_same(folder: Path) -> None:
    content = (folder / "train/cat/0.png").read_bytes()
    for path in folder.glob("train/*/*.png"):
        path.write_bytes(content)


def _link(target: str) -> Callable[[Path], object]:
    return lambda folder: os.symlink(target, folder / "train/cat/link.png")


def _vast_file(folder: Path) -> None:
    with (folder / "train/cat/0.png").open("ab") as file:
        file.truncate(2**28 + 1)  # takes no room on the disk


def _called(name: bytes) -> Callable[[Path], None]:
    """Both folders of a class get that name."""

    def rename(folder: Path) -> None:
        for split in ("train", "test"):
            os.rename(folder / split / "dog", os.fsencode(folder / split) + b"/" + name)

    return rename


def _hostile_file_name(folder: Path) -> None:
    (folder / f"train/cat/{_ESCAPE}.png").write_text("no image")


def _no_data(work: Path) -> None:
    (work / "pets.yaml").write_text(CIFAR)


def _at(path: str) -> Callable[[Path], None]:
    def make(work: Path) -> None:
        (work / "data").mkdir()
        space(work, path=path)

    return make


_NOT_DECODED = r"^\S*{} cannot be decoded as JPEG, PNG, WEBP, BMP, GIF \(.*\): repair or remove it"

IMAGES = (
    Case("image_cut_short", pets(lambda f: _cut(f / "train/cat/0.png")), START, 5, _NOT_DECODED.format(r"cat/0\.png")),
    Case("image_jpeg_cut_short", pets(_jpeg_cut), START, 5, _NOT_DECODED.format(r"train/cat/0\.jpg")),
    Case("image_empty", pets(lambda f: (f / "test/dog/1.png").write_bytes(b"")), START, 5,
         _NOT_DECODED.format(r"test/dog/1\.png")),
    Case("image_of_text", pets(lambda f: (f / "test/dog/1.png").write_text("woof")), START, 5,
         _NOT_DECODED.format(r"test/dog/1\.png")),
    Case("image_of_400_megapixels", pets(lambda f: (f / "train/cat/0.png").write_bytes(_png_of(20_000, 20_000))), START,
         5, r"train/cat/0\.png cannot be decoded .*exceeds limit of .* pixels"),
    Case("image_of_9000_pixels_a_side", _wide, START, 5, r" is 9000×1 pixels, and at most 8192 a side are read"),
    Case("image_of_sixteen_bits", pets(_wide_gray), START, 5, r"cat/0\.png has more than eight bits a channel"),
    Case("image_of_another_size", pets(lambda f: Image.new("RGB", (6, 9)).save(f / "train/cat/0.png")), START, 5,
         r"pixels, but \S+ has .*: resize the images to one size first"),
    Case("image_file_of_256_mib", pets(_vast_file), START, 5,
         r"it has 268,435,457 bytes, at most 268,435,456 are read"),
    Case("image_that_is_a_pipe", pets(lambda f: os.mkfifo(f / "train/cat/pipe.png")), START, 5,
         r"train/cat/pipe\.png is a pipe, a device or a dead link: remove it"),
    Case("image_that_is_a_device", pets(_link("/dev/zero")), START, 5,
         r"train/cat/link\.png is a pipe, a device or a dead link: remove it"),
    Case("image_that_is_a_dead_link", pets(_link("nowhere.png")), START, 5,
         r"train/cat/link\.png is a pipe, a device or a dead link: remove it"),
    Case("image_with_escape_codes_in_its_name", pets(_hostile_file_name), START, 5,
         r"train/cat/�\]0;owned�\.png cannot be decoded"),
    # Gray images beside colored ones are taken: what is wrong comes after all of them were decoded.
    Case("images_of_gray_are_taken", pets(_gray, validation=400), START, 2,
         r"^data\.validation is 400, but image_folder has 12 training images"),
)  # fmt: skip

FOLDERS = (
    Case("folder_of_one_class", pets(_one_class), START, 5, r"^expected at least two classes in \S+, found cat only"),
    Case("folder_with_an_empty_class", pets(lambda f: [path.unlink() for path in (f / "test/dog").iterdir()]), START, 5,
         r"^the class 'dog' has no images in test/dog of \S+: add some"),
    Case("folder_without_a_class_in_test", pets(lambda f: _remove_all(f / "test/dog")), START, 5,
         r"^the class 'dog' of \S+ is in train/ but not in test/"),
    Case("folder_without_test", pets(lambda f: _remove_all(f / "test")), START, 5,
         r"^the data set image_folder was not found \(looked at: \S+/train, \S+/test\)"),
    Case("folder_without_labels", _unlabeled, START, 5,
         r"^expected train/<class>/\* and test/<class>/\* in \S+, but train/ is missing or has no classes"),
    Case("folder_too_deep", pets(lambda f: (f / "train/cat/young").mkdir()), START, 5,
         r"found deeper folders at \S+/train/cat/young"),
    Case("folder_whose_test_is_trained_on", pets(_overlapping), START, 5,
         r"^1 training images are also test images, such as \S+/train/cat/3\.png and \S+/test/dog/renamed\.png"),
    Case("folder_of_duplicates", pets(_all_the_same), START, 2,
         r"^data\.calibration is 2, but 0 training images of image_folder can calibrate"),
    Case("folder_with_escape_codes_in_a_class", pets(_called(_ESCAPE.encode())), START, 5,
         r"^the class '\\x1b\]0;owned\\x07' of \S+ has a name with characters that do not print"),
    Case("folder_with_a_class_not_in_utf_8", pets(_called(b"caf\xe9")), START, 5,
         r"^the class 'caf\\udce9' of \S+ has a name with characters that do not print"),
    Case("folder_missing", _at("pets"), START, 5,
         r"^the data set image_folder was not found \(looked at: \S+/data/pets\)\. Put a folder there"),
    Case("folder_of_an_unknown_user", _at("~nobody-of-that-name/pets"), START, 2,
         r"^~nobody-of-that-name/pets begins in the home folder of an unknown user"),
    Case("folder_of_an_unknown_user_checked", _at("~nobody-of-that-name/pets"), CHECK, 5, r"is missing: data"),
    Case("folder_of_300_letters", _at("x" * 300), START, 5,
         r"^the data set image_folder cannot be looked for in \S+ \(File name too long\)"),
    Case("folder_of_300_letters_checked", _at("x" * 300), CHECK, 5, r"is missing: data"),
    Case("data_of_an_unknown_user", _no_data, ("check", "pets.yaml", "--data", "~nobody-of-that-name"), 5,
         r"is missing: data"),
    Case("data_nowhere_and_no_network", _no_data, START, 5,
         r"^the data set cifar10 was not found \(looked at: .*\) and cannot be downloaded either "
         r".*digits\.yaml needs no data"),
)  # fmt: skip

CASES = (*IMAGES, *FOLDERS)
