"""Tiny data sets for the tests of `explorer.data`, and a cache of their own."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.space.values import DataSettings

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses every connection, as without a network: nothing listens on port 9."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.fixture
def make_tree() -> Callable[..., Path]:
    """Writes `train/<class>/*` and `test/<class>/*` of random images, each different from all others."""

    def make(
        folder: Path,
        classes: Iterable[str] = ("cat", "dog"),
        n_train: int = 6,
        n_test: int = 3,
        size: tuple[int, int] = (8, 6),
        suffix: str = ".png",
    ) -> Path:
        random = np.random.default_rng(0)
        for split, n_images in (("train", n_train), ("test", n_test)):
            for name in classes:
                (folder / split / name).mkdir(parents=True)
                for number in range(n_images):
                    pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / split / name / f"{number:04d}{suffix}")
        return folder

    return make


@pytest.fixture
def make_tar() -> Callable[..., Path]:
    """Packs a folder's content as a .tar, below `top`."""

    def make(folder: Path, target: Path, top: str = "") -> Path:
        with tarfile.open(target, "w") as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, arcname=f"{top}{path.name}")
        return target

    return make


@pytest.fixture
def settings() -> DataSettings:
    return DataSettings("image_folder", validation=4, calibration=2, path="pets")
