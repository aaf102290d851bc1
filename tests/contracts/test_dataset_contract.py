"""What every registered data set promises, on tiny data of its own kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.data.preparing import prepare
from explorer.data.source import DATASETS, input_shape, locate
from explorer.data.splits import split
from explorer.errors import DataNotAvailable
from explorer.space.values import DataSettings
from explorer.tasks.classification import Classification

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
N_TRAIN, N_TEST = 12, 3
EMBEDDED = ("digits", "cluttered_digits")  # they come with scikit-learn


def tree(folder: Path, classes: tuple[str, ...]) -> None:
    """A tree of 32×32 PNG images, no two alike."""
    rng = np.random.default_rng(0)
    for part, n in (("train", N_TRAIN), ("test", N_TEST)):
        for name in classes:
            (folder / part / name).mkdir(parents=True)
            for index in range(n):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{index:04}.png")


def settings_for(name: str, root: Path) -> DataSettings:
    """Settings, after putting tiny data of that kind under `root` where it needs any."""
    if name == "cifar10":
        tree(root / "cifar10-tiny", CIFAR10)
        return DataSettings(name, validation=20, calibration=20)
    if name == "image_folder":
        tree(root / "mine", ("cat", "dog"))
        return DataSettings(name, validation=4, calibration=4, path="mine")
    return DataSettings(name, validation=100, calibration=50)


@pytest.fixture(params=DATASETS)
def settings_and_root(request, tmp_path):
    return settings_for(request.param, tmp_path), tmp_path


def test_dataset_is_located_and_prepared_as_raw_images_with_labels(settings_and_root):
    settings, root = settings_and_root
    assert locate(settings, root).is_present
    dataset = prepare(settings, root, lambda _: None)
    for images, labels in (
        (dataset.train_inputs, dataset.train_targets),
        (dataset.test_inputs, dataset.test_targets),
    ):
        assert images.dtype == np.uint8
        assert images.shape[1:] == dataset.input_shape
        assert len(images) == len(labels)
        assert set(np.unique(labels)) == set(range(len(dataset.facts["classes"])))
    assert len(dataset.mean) == len(dataset.std) == dataset.input_shape[0]
    assert dataset.kind


def test_dataset_shape_that_is_told_before_it_is_read_is_that_of_its_images(settings_and_root):
    settings, root = settings_and_root
    told = input_shape(locate(settings, root))
    assert told in (None, prepare(settings, root, lambda _: None).input_shape)


def test_dataset_prepared_again_is_the_same(settings_and_root):
    settings, root = settings_and_root
    first, second = (prepare(settings, root, lambda _: None) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.train_inputs, second.train_inputs)


def test_dataset_splits_are_disjoint_stratified_and_of_their_size(settings_and_root):
    settings, root = settings_and_root
    dataset = prepare(settings, root, lambda _: None)
    parts = split(dataset, settings, Classification())
    assert len(parts.validation) == settings.validation
    assert len(parts.calibration) == settings.calibration
    assert set(parts.training).isdisjoint(parts.validation)
    assert set(parts.calibration) <= set(parts.training)
    assert len(parts.training) + len(parts.validation) == len(dataset.train_targets)
    n_versions = 1 if dataset.train_originals is None else int(np.bincount(dataset.train_originals).max())
    shares = (
        np.bincount(dataset.train_targets[parts.validation], minlength=len(dataset.facts["classes"]))
        / settings.validation
    )
    expected = np.bincount(dataset.train_targets) / len(dataset.train_targets)
    assert np.allclose(shares, expected, atol=n_versions / settings.validation)
    kept = np.load(parts.examples.inputs)
    assert np.array_equal(kept, dataset.train_inputs[parts.validation])


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in EMBEDDED])
def test_dataset_missing_and_offline_says_where_it_looked(name, tmp_path, monkeypatch):
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # the discard port: nothing answers there
    settings = DataSettings(name, validation=10, calibration=10, path="nowhere" if name == "image_folder" else None)
    with pytest.raises(DataNotAvailable, match=str(tmp_path)):
        locate(settings, tmp_path)
