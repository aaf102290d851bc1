"""The embedded study's images: what its shipped weights were trained on, so that they must never change."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from explorer.data.cluttered_digits import Scene, draw, roles
from explorer.data.dataset import Dataset
from explorer.data.preparing import prepare
from explorer.data.source import locate
from explorer.data.splits import split
from explorer.errors import UsageError
from explorer.space.values import DataSettings
from explorer.tasks.classification import Classification

PLAIN = Scene(
    side=8,
    size=(1.0, 1.0),
    warp=0.0,
    shift=0.0,
    n_fragments=0,
    fragment=(1.0, 1.0),
    contrast=(1.0, 1.0),
    brightness=0.0,
    slope=0.0,
    noise=0.0,
)
CLUTTERED = replace(PLAIN, size=(0.5, 0.8), warp=0.2, shift=0.2, n_fragments=3, contrast=(0.5, 1.0), noise=0.05)


def drawings(n: int = 6) -> np.ndarray:
    return np.random.RandomState(1).random_sample((n, 8, 8))


def test_draw_of_a_scene_without_changes_is_the_drawing_with_bright_or_dark_ink() -> None:
    drawn = draw(drawings(), drawings(), PLAIN, np.random.RandomState(0))
    for picture, drawing in zip(drawn[:, 0], drawings(), strict=True):
        bright = np.rint(255 * drawing)
        assert np.abs(picture - bright).max() <= 1 or np.abs(picture - (255 - bright)).max() <= 1


def test_draw_smaller_drawing_leaves_the_rim_without_ink() -> None:
    ink = np.ones((40, 8, 8))
    drawn = draw(ink, ink, replace(PLAIN, side=16, size=(0.5, 0.5)), np.random.RandomState(0))[:, 0]
    middle, corner = drawn[:, 8, 8], drawn[:, 0, 0]
    assert set(middle.tolist()) == {0, 255}
    assert np.array_equal(255 - middle, corner)


def test_draw_pieces_add_ink_beside_the_drawing() -> None:
    nothing, ink = np.zeros((50, 8, 8)), np.ones((3, 8, 8))
    alone = draw(nothing, ink, PLAIN, np.random.RandomState(0))
    among = draw(nothing, ink, replace(PLAIN, n_fragments=3), np.random.RandomState(0))
    assert np.ptp(alone, axis=(1, 2, 3)).max() == 0
    assert (np.ptp(among, axis=(1, 2, 3)) > 100).mean() > 0.8


def test_draw_gives_the_same_bytes_for_a_seed_on_every_machine() -> None:
    drawn = draw(drawings(), drawings(), CLUTTERED, np.random.RandomState(0))
    assert (drawn.shape, drawn.dtype) == ((6, 1, 8, 8), np.uint8)
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == "601d4f54a17025ac"


@pytest.mark.parametrize("change", [{"warp": 0.3}, {"shift": 0.3}, {"slope": 0.4}, {"brightness": 0.2}])
def test_draw_each_variation_changes_the_pictures(change: dict[str, float]) -> None:
    plain = draw(drawings(), drawings(), PLAIN, np.random.RandomState(0))
    assert not np.array_equal(plain, draw(drawings(), drawings(), replace(PLAIN, **change), np.random.RandomState(0)))


SETTINGS = DataSettings("cluttered_digits", validation=2000, calibration=256)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPLORER_CACHE", str(tmp_path_factory.mktemp("drawn")))
        return prepare(SETTINGS, None, lambda _: None)


def test_images_are_those_of_the_shipped_weights(dataset: Dataset) -> None:
    drawn = hashlib.sha256(dataset.train_inputs.tobytes() + dataset.test_inputs.tobytes()).hexdigest()
    assert (len(dataset.train_inputs), len(dataset.test_inputs)) == (12_000, 2_000)
    assert drawn[:16] == "05cbf3a8e6f8c79c"


def test_every_digit_has_one_role_and_every_class_its_share_of_each() -> None:
    labels = load_digits().target.astype(np.int64)
    parts = roles(labels)
    assert [len(part) for part in parts] == [1200, 400, 197]
    assert sorted(np.concatenate(parts).tolist()) == list(range(1797))
    for part in parts:
        exact = np.bincount(labels) * len(part) / len(labels)
        assert np.abs(np.bincount(labels[part]) - exact).max() < 2


def test_pictures_of_a_digit_are_ten_all_different_and_of_its_class(dataset: Dataset) -> None:
    assert dataset.train_originals is not None
    digits, counts = np.unique(dataset.train_originals, return_counts=True)
    assert set(counts.tolist()) == {10}
    assert np.array_equal(load_digits().target[dataset.train_originals], dataset.train_targets)
    assert len(np.unique(dataset.train_inputs.reshape(12_000, -1), axis=0)) == 12_000
    assert len(digits) == 1200


def test_no_digit_is_in_training_and_validation(dataset: Dataset) -> None:
    parts = split(dataset, SETTINGS, Classification())
    assert dataset.train_originals is not None
    training, validation, calibration = (
        set(dataset.train_originals[chosen].tolist())
        for chosen in (parts.training, parts.validation, parts.calibration)
    )
    assert (len(training), len(validation)) == (1000, 200)
    assert not training & validation
    assert calibration <= training


def test_validation_that_would_part_the_pictures_of_a_digit_is_refused(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"data\.validation is 2004, .* 10 versions .* choose a multiple of 10"):
        split(dataset, DataSettings("cluttered_digits", validation=2004, calibration=256), Classification())


def test_fingerprint_is_not_that_of_the_digits_as_they_are(dataset: Dataset) -> None:
    plain = prepare(DataSettings("digits", 300, 128), None, lambda _: None)
    assert plain.fingerprint != dataset.fingerprint


def test_locate_finds_the_file_of_scikit_learn_and_needs_no_folder(tmp_path: Path) -> None:
    source = locate(SETTINGS, tmp_path / "nowhere")
    assert source.is_present
    assert (source.dataset, source.kind, source.location.name) == ("cluttered_digits", "scikit-learn", "digits.csv.gz")
