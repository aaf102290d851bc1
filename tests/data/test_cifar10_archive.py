"""torchvision's own reader on a tiny archive: its class is made for subclasses with other names and checksums."""

from __future__ import annotations

import hashlib
import http.server
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.data.cache import data_cache
from explorer.data.cifar10 import download_official, read_official
from explorer.errors import DataNotAvailable
from explorer.records import Progress

N_TRAIN, N_TEST = 20, 10


@dataclass(frozen=True)
class Archive:
    """A packed archive, the class that expects it, and what is in it."""

    file: Path
    reader: type[Any]
    train: np.ndarray
    test: np.ndarray

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()


def quiet(_: Progress) -> None:
    pass


def dump(path: Path, value: dict[str, Any]) -> str:
    """A pickle as NumPy wrote it in 2009: data types with the number 0 for `align`. Returns its MD5."""
    content = pickle.dumps(value, protocol=2).replace(b"\x89\x88", b"K\x00K\x01")
    path.write_bytes(content)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "made" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (n, 3072), dtype=np.uint8) for n in (N_TRAIN, N_TEST))
    half = N_TRAIN // 2
    sums = {
        "data_batch_1": dump(folder / "data_batch_1", {"data": train[:half], "labels": list(range(10))}),
        "data_batch_2": dump(folder / "data_batch_2", {"data": train[half:], "labels": list(range(10))}),
        "test_batch": dump(folder / "test_batch", {"data": test, "labels": list(range(10))}),
        "batches.meta": dump(folder / "batches.meta", {"label_names": [f"class{n}" for n in range(10)]}),
    }
    file = tmp_path / "made" / "cifar-10-python.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)

    class Tiny(CIFAR10):  # type: ignore[misc]
        tgz_md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        train_list = [[name, sums[name]] for name in ("data_batch_1", "data_batch_2")]  # noqa: RUF012
        test_list = [["test_batch", sums["test_batch"]]]  # noqa: RUF012
        meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}  # noqa: RUF012

    return Archive(file, Tiny, train.reshape(-1, 3, 32, 32), test.reshape(-1, 3, 32, 32))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; while the server has cuts left, only the first half of what was asked for.

    Knows ranges when the server `has_ranges`; `asked` has those of all requests.
    """

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)  # type: ignore[attr-defined]
        if wanted is None or not self.server.has_ranges:  # type: ignore[attr-defined]
            super().do_GET()
            return
        content = Path(self.translate_path(self.path)).read_bytes()
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.copyfile(io.BytesIO(content[start:]), self.wfile)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        if self.server.n_cuts:  # type: ignore[attr-defined]
            self.server.n_cuts -= 1  # type: ignore[attr-defined]
            content = content[: len(content) // 2]
        outputfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(archive: Archive) -> Iterator[http.server.ThreadingHTTPServer]:
    handler = partial(Handler, directory=str(archive.file.parent))
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    service.n_cuts, service.has_ranges, service.asked = 0, False, []  # type: ignore[attr-defined]
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    archive.reader.url = f"http://127.0.0.1:{service.server_port}/{archive.file.name}"
    yield service
    service.shutdown()
    service.server_close()
    thread.join()


@pytest.mark.parametrize("is_packed", [False, True])
def test_read_official_folder_and_file_give_the_images(archive: Archive, is_packed: bool) -> None:
    location = archive.file if is_packed else archive.file.parent / "cifar-10-batches-py"
    raw = read_official(archive.reader, location, quiet)
    assert np.array_equal(raw.train_inputs, archive.train)
    assert np.array_equal(raw.test_inputs, archive.test)
    assert raw.train_targets.tolist() == [*range(10), *range(10)]
    assert raw.facts["classes"] == [f"class{n}" for n in range(10)]
    assert not data_cache().exists() or list(data_cache().iterdir()) == []


def test_read_official_changed_batch_is_refused_before_it_is_unpickled(archive: Archive, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = archive.file.parent / "cifar-10-batches-py"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (canary,)

    (folder / "data_batch_1").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DataNotAvailable, match="cifar-10-batches-py is not the official CIFAR-10"):
        read_official(archive.reader, folder, quiet)
    assert not canary.exists()


def test_read_official_changed_archive_is_refused_and_not_removed(archive: Archive) -> None:
    archive.file.write_bytes(archive.file.read_bytes()[:-7])
    with pytest.raises(DataNotAvailable, match="is not the official archive: its MD5 should be"):
        read_official(archive.reader, archive.file, quiet)
    assert archive.file.exists()


@pytest.mark.parametrize("n_cuts", [0, 1])
def test_download_official_is_verified_and_unpacked_even_after_one_cut(
    archive: Archive, server: Any, tmp_path: Path, n_cuts: int
) -> None:
    server.n_cuts = n_cuts
    root = tmp_path / "root"
    folder = download_official(archive.reader, archive.sha256, root, quiet)
    assert folder == root / "cifar-10-batches-py"
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
    assert np.array_equal(read_official(archive.reader, folder, quiet).train_inputs, archive.train)


@pytest.mark.parametrize("has_root", [False, True])
def test_download_official_cut_twice_leaves_the_root_as_it_was(
    archive: Archive, server: Any, tmp_path: Path, has_root: bool
) -> None:
    server.n_cuts = 2
    root = tmp_path / "root"
    if has_root:
        root.mkdir()
        (root / "mine.txt").write_text("kept")
    with pytest.raises(DataNotAvailable, match=r"could not be downloaded from .*the connection ended after"):
        download_official(archive.reader, archive.sha256, root, quiet)
    assert [path.name for path in root.iterdir()] == ["mine.txt"] if has_root else not root.exists()


def test_download_official_wrong_checksum_twice_is_refused(archive: Archive, server: Any, tmp_path: Path) -> None:
    with pytest.raises(DataNotAvailable, match=r"could not be downloaded from .*the checksum is wrong"):
        download_official(archive.reader, "0" * 64, tmp_path / "root", quiet)
    assert not (tmp_path / "root").exists()


def test_download_official_interrupted_leaves_nothing(archive: Archive, server: Any, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.stage == "download":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_official(archive.reader, archive.sha256, tmp_path / "root", interrupt)
    assert not (tmp_path / "root").exists()


def test_download_official_interrupted_goes_on_from_what_came(archive: Archive, server: Any, root: Path) -> None:
    half = archive.file.stat().st_size // 2
    part = data_cache() / "downloads" / archive.sha256[:20] / archive.file.name
    part.parent.mkdir(parents=True)
    part.write_bytes(archive.file.read_bytes()[:half])
    server.has_ranges = True
    download_official(archive.reader, archive.sha256, root, quiet)
    assert server.asked == [f"bytes={half}-"]
    assert not part.parent.exists()


def test_download_official_complete_before_a_kill_requests_nothing(archive: Archive, server: Any, root: Path) -> None:
    part = data_cache() / "downloads" / archive.sha256[:20] / archive.file.name
    part.parent.mkdir(parents=True)
    part.write_bytes(archive.file.read_bytes())
    download_official(archive.reader, archive.sha256, root, quiet)
    assert server.asked == []


def test_download_official_cut_often_goes_on_as_long_as_more_comes(archive: Archive, server: Any, root: Path) -> None:
    server.has_ranges, server.n_cuts = True, 5
    download_official(archive.reader, archive.sha256, root, quiet)
    assert len(server.asked) == 6


def test_download_official_part_that_is_not_of_the_archive_is_fetched_anew(
    archive: Archive, server: Any, root: Path
) -> None:
    part = data_cache() / "downloads" / archive.sha256[:20] / archive.file.name
    part.parent.mkdir(parents=True)
    part.write_bytes(b"another archive")
    server.has_ranges = True
    download_official(archive.reader, archive.sha256, root, quiet)
    assert server.asked == ["bytes=15-", None]


def test_download_official_draft_of_a_killed_process_is_removed(archive: Archive, server: Any, root: Path) -> None:
    (root / ".cifar-10-batches-py.abc.tmp").mkdir()
    download_official(archive.reader, archive.sha256, root, quiet)
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
