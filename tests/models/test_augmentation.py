"""Batches: every image once an epoch; shifts and flips keep what is in the image."""

import numpy as np

from explorer.models.augmentation import augment, batch_indices, cut_mix
from explorer.models.recipes import Augmentation, Plan


def plan() -> Plan:
    return Plan(batch_size=4, steps_per_epoch=5, cycles=(), augmentation=Augmentation(2, True))


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
    after = augment(before, Augmentation(padding=0, has_flips=True), np.random.default_rng(0))

    is_same = (after == before).all((1, 2, 3))
    is_flipped = (after == before[..., ::-1]).all((1, 2, 3))
    assert (is_same | is_flipped).all()
    assert 100 < is_flipped.sum() < 200


def test_augment_shifts_by_at_most_the_padding_in_each_direction() -> None:
    before = images()
    after = augment(before, Augmentation(padding=2, has_flips=False), np.random.default_rng(0))

    padded = np.pad(before, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    shifts = {(y, x): (after == padded[:, :, y : y + 8, x : x + 10]).all((1, 2, 3)) for y in range(5) for x in range(5)}
    assert np.logical_or.reduce(list(shifts.values())).all()
    assert all(hits.any() for hits in shifts.values())
    assert after.shape == before.shape
    assert after.dtype == np.uint8


def test_augment_is_a_function_of_the_generator_and_leaves_its_input() -> None:
    before = images()
    kept = before.copy()
    once, again = (augment(before, Augmentation(2, True), np.random.default_rng(5)) for _ in range(2))

    assert (once == again).all()
    assert (before == kept).all()


def test_augment_cutout_grays_one_square_of_at_most_its_side() -> None:
    before = np.full((300, 3, 8, 10), 7, dtype=np.uint8)
    after = augment(before, Augmentation(padding=0, has_flips=False, cutout=4), np.random.default_rng(0))

    is_cut = after == 128
    assert ((after == 7) | is_cut).all()
    heights, widths = is_cut[:, 0].any(2).sum(1), is_cut[:, 0].any(1).sum(1)
    assert (is_cut[:, 0].sum((1, 2)) == heights * widths).all()
    assert heights.min() >= 1
    assert (heights.max(), widths.max()) == (4, 4)
    assert (is_cut == is_cut[:, :1]).all()


def test_augment_warp_changes_half_of_the_images_and_none_whose_pixels_are_all_the_same() -> None:
    before = images()
    before[0] = 77
    after = augment(before, Augmentation(padding=0, has_flips=False, warp=0.2), np.random.default_rng(0))

    is_changed = (after != before).any((1, 2, 3))
    assert 100 < is_changed.sum() < 200
    for seed in range(20):
        how = Augmentation(padding=0, has_flips=False, warp=0.2)
        assert (augment(before[:1], how, np.random.default_rng(seed)) == 77).all()


def test_augment_warp_stretches_a_ramp_by_at_most_its_strength_and_leaves_the_center_where_it_is() -> None:
    before = np.broadcast_to(np.arange(16, 256, 16, dtype=np.uint8), (300, 3, 15, 15)).copy()
    after = augment(before, Augmentation(padding=0, has_flips=False, warp=0.2), np.random.default_rng(0)).astype(int)

    assert np.abs(after[:, :, 7, 7] - 128).max() <= 1
    for axis, around in (("right", 1.0), ("down", 0.0)):
        low, high = (after[:, :, 7, at] if axis == "right" else after[:, :, at, 7] for at in (5, 9))
        slopes = (high - low) / (4 * 16)
        assert np.abs(slopes - around).max() <= 0.2 + 1 / 64
        assert slopes.min() < around - 0.15
        assert slopes.max() > around + 0.15
    assert (after == after[:, :1]).all()


def test_augment_color_jitter_changes_each_channel_of_an_image_in_a_straight_line_within_its_strength() -> None:
    before = np.repeat(np.array([108, 128, 148], dtype=np.uint8), 4).reshape(1, 1, 3, 4).repeat(3, 1).repeat(300, 0)
    after = augment(before, Augmentation(padding=0, has_flips=False, color_jitter=0.1), np.random.default_rng(0))

    low, middle, high = (after[:, :, row, 0].astype(int) for row in range(3))
    assert np.abs(middle - 128).max() <= 13
    assert np.abs((high - low) / 40 - 1).max() <= 0.15 + 1 / 40
    assert len({tuple(image) for image in middle}) > 10
    assert np.abs(high + low - 2 * middle).max() <= 2


def test_cut_mix_targets_are_the_shares_of_the_area_that_each_image_has() -> None:
    before = np.arange(6, dtype=np.uint8)[:, None, None, None].repeat(3, 1).repeat(8, 2).repeat(10, 3)
    for seed in range(50):
        mixed, targets = cut_mix(before, np.eye(6, dtype=np.float32), np.random.default_rng(seed))
        shares = np.stack([(mixed[:, 0] == label).mean((1, 2)) for label in range(6)], axis=1)

        np.testing.assert_allclose(targets, shares, atol=1e-6)
        assert (mixed == mixed[:, :1]).all()


def test_cut_mix_leaves_its_input_and_mixes_from_nothing_to_nearly_all() -> None:
    before, labels = images(), np.eye(300, dtype=np.float32)
    kept = before.copy()
    own = [cut_mix(before, labels, np.random.default_rng(seed))[1].diagonal().min() for seed in range(50)]

    assert (before == kept).all()
    assert min(own) < 0.4
    assert max(own) > 0.9
