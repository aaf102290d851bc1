from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.data.dataset import Dataset, channel_statistics
from explorer.data.preparing import prepare
from explorer.data.splits import split, stratified
from explorer.errors import UsageError
from explorer.records import Progress
from explorer.space.values import DataSettings, default_calibration
from explorer.tasks.classification import Classification

MakeTree = Callable[..., Path]


def quiet(_: Progress) -> None:
    pass


def of_labels(labels: list[int], images: np.ndarray | None = None, tests: np.ndarray | None = None) -> Dataset:
    """A data set of one-pixel images, all different unless they are given."""
    numbers = np.arange(len(labels), dtype=np.uint32).view(np.uint8).reshape(-1, 1, 2, 2)
    images = numbers if images is None else images
    tests = np.full((1, 1, 2, 2), 255, np.uint8) if tests is None else tests
    return Dataset(
        name="made",
        kind="image folder",
        fingerprint="0123456789abcdef" * 4,
        facts={"classes": [f"class{number}" for number in range(max(labels) + 1)]},
        mean=(0.0,),
        std=(1.0,),
        folder=Path("nowhere"),
        train_inputs=images,
        train_targets=np.array(labels, dtype=np.int64),
        test_inputs=tests,
        test_targets=np.zeros(len(tests), dtype=np.int64),
    )


@given(st.data())
def test_stratified_has_the_count_and_each_class_its_share(data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=60)), dtype=np.int64)
    n = data.draw(st.integers(0, len(labels)))
    chosen = stratified(labels, n)
    assert len(chosen) == len(set(chosen.tolist())) == n
    exact = n * np.bincount(labels, minlength=5) / len(labels)
    assert np.abs(np.bincount(labels[chosen], minlength=5) - exact).max() < 1
    assert np.array_equal(chosen, stratified(labels, n))


def test_stratified_is_fixed_for_ever() -> None:
    """Studies of older versions count on it: another choice would train on their validation images."""
    assert stratified(np.array([0, 1] * 10, dtype=np.int64), 6).tolist() == [1, 5, 6, 10, 8, 17]


def test_split_parts_are_disjoint_and_cover_the_training_images() -> None:
    dataset = of_labels([0, 1, 2] * 40)
    splits = split(dataset, DataSettings("made", validation=30, calibration=12), Classification())
    assert sorted([*splits.training.tolist(), *splits.validation.tolist()]) == list(range(120))
    assert set(splits.calibration.tolist()) <= set(splits.training.tolist())
    assert np.bincount(dataset.train_targets[splits.validation]).tolist() == [10, 10, 10]
    assert np.bincount(dataset.train_targets[splits.calibration]).tolist() == [4, 4, 4]


def test_split_files_hold_the_images_of_the_indices() -> None:
    dataset = of_labels([0, 1] * 20)
    splits = split(dataset, DataSettings("made", validation=10, calibration=6), Classification())
    assert np.array_equal(np.load(splits.examples.inputs), dataset.train_inputs[splits.validation])
    assert np.array_equal(np.load(splits.examples.targets), dataset.train_targets[splits.validation])
    assert np.array_equal(np.load(splits.calibration_inputs), dataset.train_inputs[splits.calibration])
    assert np.load(splits.examples.inputs, mmap_mode="r").flags.c_contiguous


def test_split_again_is_equal_and_other_counts_differ() -> None:
    dataset = of_labels([0, 1] * 20)
    settings = DataSettings("made", validation=10, calibration=6)
    first, second = split(dataset, settings, Classification()), split(dataset, settings, Classification())
    other = split(dataset, replace(settings, calibration=7), Classification())
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert first.training_fingerprint() == other.training_fingerprint()
    fewer = split(dataset, replace(settings, validation=8), Classification())
    assert first.training_fingerprint() != fewer.training_fingerprint()
    assert first.examples.inputs != other.examples.inputs
    assert np.array_equal(first.validation, other.validation)


def test_split_truncated_file_is_made_again() -> None:
    dataset = of_labels([0, 1] * 20)
    settings = DataSettings("made", validation=10, calibration=6)
    os.truncate(split(dataset, settings, Classification()).examples.inputs, 100)
    assert np.load(split(dataset, settings, Classification()).examples.inputs).shape == (10, 1, 2, 2)


def test_split_calibration_takes_no_copy_of_a_validation_or_test_image() -> None:
    images = np.arange(40, dtype=np.uint32).view(np.uint8).reshape(-1, 1, 2, 2).copy()
    settings = DataSettings("made", validation=10, calibration=28)
    labels = [0, 1] * 20
    validation = split(of_labels(labels), replace(settings, calibration=1), Classification()).validation
    others = np.setdiff1d(np.arange(40), validation)
    images[others[0]] = images[validation[0]]
    dataset = of_labels(labels, images, tests=images[others[1:2]])
    dataset = replace(dataset, fingerprint="f" * 64)
    splits = split(dataset, settings, Classification())
    assert sorted(splits.calibration.tolist()) == others[2:].tolist()
    with pytest.raises(UsageError, match=r"data\.calibration is 29, but 28 .* 30 are left .*, 2 of them copies"):
        split(dataset, replace(settings, calibration=29), Classification())


@pytest.mark.parametrize("n", [0, 40, 41])
def test_split_impossible_validation_error_has_the_numbers(n: int) -> None:
    with pytest.raises(UsageError, match=rf"data\.validation is {n}, but made has 40 .* choose 1 to 38"):
        split(of_labels([0, 1] * 20), DataSettings("made", validation=n, calibration=1), Classification())


def test_split_that_takes_a_whole_class_names_the_class() -> None:
    with pytest.raises(UsageError, match=r"data\.validation is 19 of 21 .*none of the class 'class1'"):
        split(of_labels([0] * 20 + [1]), DataSettings("made", validation=19, calibration=1), Classification())


def test_split_too_much_calibration_error_has_the_numbers() -> None:
    with pytest.raises(UsageError, match=r"data\.calibration is 31, but 30 training images"):
        split(of_labels([0, 1] * 20), DataSettings("made", validation=10, calibration=31), Classification())


def test_split_default_calibration_takes_all_where_there_are_fewer() -> None:
    dataset = of_labels([0, 1] * 20)
    settings = DataSettings("made", validation=10, calibration=default_calibration("made"))
    assert len(split(dataset, settings, Classification()).calibration) == 30


def test_split_of_an_image_folder_works_whole(make_tree: MakeTree, root: Path, settings: DataSettings) -> None:
    make_tree(root / "pets")
    dataset = prepare(settings, root, quiet)
    splits = split(dataset, settings, Classification())
    assert (len(splits.training), len(splits.validation), len(splits.calibration)) == (8, 4, 2)


def test_channel_statistics_constant_channel_has_deviation_one() -> None:
    images = np.zeros((3, 2, 2, 2), dtype=np.uint8)
    images[:, 1] = [[0, 255], [255, 0]]
    assert channel_statistics(images) == ([0.0, 127.5], [1.0, 127.5])


@pytest.mark.parametrize(("n_versions", "n"), [(3, 30), (5, 20), (2, 2)])
def test_split_never_parts_the_versions_of_an_original(n_versions: int, n: int) -> None:
    originals = np.repeat(np.arange(60), n_versions)
    dataset = replace(of_labels((originals % 3).tolist()), train_originals=originals)
    parts = split(dataset, DataSettings("made", validation=n, calibration=10), Classification())
    assert len(parts.validation) == n
    assert len(parts.training) == len(originals) - n
    assert not set(originals[parts.validation].tolist()) & set(originals[parts.training].tolist())
    assert np.bincount(dataset.train_targets[parts.validation], minlength=3).max() <= n / 3 + n_versions


def test_split_of_versions_is_in_mixed_order() -> None:
    originals = np.repeat(np.arange(60), 5)
    dataset = replace(of_labels((originals % 3).tolist()), train_originals=originals)
    parts = split(dataset, DataSettings("made", validation=100, calibration=10), Classification())
    assert len(set(originals[parts.validation[:20]].tolist())) > 7  # 4 where versions follow each other


def test_split_that_would_part_versions_is_refused_with_what_fits() -> None:
    originals = np.repeat(np.arange(60), 5)
    dataset = replace(of_labels((originals % 3).tolist()), train_originals=originals)
    with pytest.raises(UsageError, match=r"validation is 12, .* choose a multiple of 5"):
        split(dataset, DataSettings("made", validation=12, calibration=10), Classification())
