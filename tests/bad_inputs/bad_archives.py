"""Packed data of strangers: .tar files damaged or made to confuse, and a CIFAR-10 that is none."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

from bad_case import Case, Payload
from bad_data import CHECK, CIFAR, SPACE, START, space, tree


def _packed(fill: Callable[[tarfile.TarFile], object], top: str = "pets.tar") -> Callable[[Path], None]:
    """A .tar in the place of the folder."""

    def make(work: Path) -> None:
        (work / "data").mkdir()
        space(work, path=top)
        with tarfile.open(work / "data" / top, "w", format=tarfile.GNU_FORMAT) as tar:
            fill(tar)

    return make


def _member(name: str, content: bytes = b"no image", **facts: object) -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in facts.items():
        setattr(member, key, value)
    return member, io.BytesIO(content)


def _climbing(tar: tarfile.TarFile) -> None:
    for name in ("../train/cat/0.png", "/train/dog/0.png", "train/../../test/cat/0.png"):
        tar.addfile(*_member(name))


def _linking(tar: tarfile.TarFile) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            tar.addfile(*_member(f"{split}/{name}/0.png", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"))


def _truncated_tar(work: Path) -> None:
    _packed(lambda tar: tar.addfile(*_member("train/cat/0.png", bytes(5000))))(work)
    path = work / "data/pets.tar"
    path.write_bytes(path.read_bytes()[:3000])


def _compressed_tar(work: Path) -> None:
    (work / "data").mkdir()
    space(work, path="pets.tar")
    with tarfile.open(work / "data/pets.tar", "w:gz") as tar:
        tar.addfile(*_member("train/cat/0.png"))


def _raw_tar(name: str, *headers: bytes) -> Callable[[Path], None]:
    """An archive of these headers, which tarfile itself would not write."""

    def make(work: Path) -> None:
        (work / "data").mkdir()
        (work / "pets.yaml").write_text(CIFAR if name.startswith("cifar10") else SPACE.format(path=name, validation=4))
        (work / "data" / name).write_bytes(b"".join(headers) + bytes(1024))

    return make


def _pax(**facts: str) -> bytes:
    member = tarfile.TarInfo("train/cat/0.png")
    member.pax_headers = facts
    return member.tobuf(tarfile.PAX_FORMAT)


def _long_name() -> bytes:
    member = tarfile.TarInfo("././@LongLink")
    member.type = tarfile.GNUTYPE_LONGNAME
    return member.tobuf(tarfile.GNU_FORMAT)


def _cifar_pickle(work: Path) -> None:
    (work / "pets.yaml").write_text(CIFAR)
    folder = work / "data/cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = ("batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6)))
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Payload(work)))


def _cifar_archive(work: Path) -> None:
    (work / "pets.yaml").write_text(CIFAR)
    (work / "data").mkdir()
    with tarfile.open(work / "data/cifar-10-python.tar.gz", "w:gz") as tar:
        tar.addfile(*_member("cifar-10-batches-py/data_batch_1", pickle.dumps(Payload(work))))


def _cifar_of_others(work: Path) -> None:
    (work / "pets.yaml").write_text(CIFAR)
    tree(work / "data/cifar10-mine")


_NO_TAR = r"^\S*{} is not a whole, uncompressed \.tar \(.+\): copy it again"

CASES = (
    Case("tar_cut_short", _truncated_tar, START, 5, _NO_TAR.format(r"pets\.tar")),
    Case("tar_compressed", _compressed_tar, START, 5, _NO_TAR.format(r"pets\.tar")),
    Case("tar_of_climbing_names", _packed(_climbing), START, 5, r"but train/ is missing or has no classes"),
    Case("tar_of_links", _packed(_linking), START, 5, r"but train/ is missing or has no classes"),
    Case("tar_with_holes_of_no_number", _raw_tar("pets.tar", _pax(**{"GNU.sparse.map": "a,b"})), START, 5,
         _NO_TAR.format(r"pets\.tar")),
    Case("tar_with_holes_of_no_number_checked", _raw_tar("cifar10.tar", _pax(**{"GNU.sparse.map": "a,b"})), CHECK, 5,
         r"is missing: data"),
    Case("tar_of_5000_long_names", _raw_tar("pets.tar", _long_name() * 5000), START, 5, _NO_TAR.format(r"pets\.tar")),
    Case("cifar10_with_a_payload", _cifar_pickle, START, 5,
         r"^\S+/cifar-10-batches-py is not the official CIFAR-10, because files are missing or damaged: remove"),
    Case("cifar10_archive_of_somebody_else", _cifar_archive, START, 5,
         r"^\S+/cifar-10-python\.tar\.gz is not the official archive: its MD5 should be "),
    Case("cifar10_of_cats_and_dogs", _cifar_of_others, START, 5,
         r"^expected the classes airplane, .* in \S+, found cat, dog"),
)  # fmt: skip
