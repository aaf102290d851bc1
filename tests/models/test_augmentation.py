"""Batches: every image once an epoch; shifts and flips keep what is in the image."""

import numpy as np

from explorer.models.augmentation import augment, batch_indices
from explorer.models.recipes import Plan


def plan(padding: int = 2, has_flips: bool = True) -> Plan:
    return Plan(100, 40, steps_per_epoch=5, batch_size=4, padding=padding, has_flips=has_flips)


def images(n: int = 300) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, 8, 10), dtype=np.uint8)


def test_batch_indices_cover_an_epoch_without_repeats_and_differ_between_epochs() -> None:
    first, second = (
        np.concatenate([batch_indices(21, plan(), epoch * 5 + i, seed=0) for i in range(5)]) for epoch in (0, 1)
    )

    assert len(set(first.tolist())) == len(first) == 20
    assert first.tolist() != second.tolist()


def test_batch_indices_follow_the_seed() -> None:
    assert batch_indices(21, plan(), 3, seed=1).tolist() == batch_indices(21, plan(), 3, seed=1).tolist()
    assert batch_indices(21, plan(), 3, seed=1).tolist() != batch_indices(21, plan(), 3, seed=2).tolist()


def test_augment_without_padding_flips_about_half_of_the_images() -> None:
    before = images()
    after = augment(before, plan(padding=0), np.random.default_rng(0))

    is_same = (after == before).all((1, 2, 3))
    is_flipped = (after == before[..., ::-1]).all((1, 2, 3))
    assert (is_same | is_flipped).all()
    assert 100 < is_flipped.sum() < 200


def test_augment_shifts_by_at_most_the_padding_in_each_direction() -> None:
    before = images()
    after = augment(before, plan(has_flips=False), np.random.default_rng(0))

    padded = np.pad(before, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    shifts = {(y, x): (after == padded[:, :, y : y + 8, x : x + 10]).all((1, 2, 3)) for y in range(5) for x in range(5)}
    assert np.logical_or.reduce(list(shifts.values())).all()
    assert all(hits.any() for hits in shifts.values())
    assert after.shape == before.shape
    assert after.dtype == np.uint8


def test_augment_is_a_function_of_the_generator_and_leaves_its_input() -> None:
    before = images()
    kept = before.copy()
    once, again = (augment(before, plan(), np.random.default_rng(5)) for _ in range(2))

    assert (once == again).all()
    assert (before == kept).all()
