"""Training: deterministic, resumable with the same result, and it learns."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.models import training
from explorer.models.augmentation import augment
from explorer.models.base import TrainingData
from explorer.models.network import SlimmableNetwork, recalibrate
from explorer.models.recipes import Augmentation, Cycle, Recipe
from explorer.models.slimmable_cnn import build
from explorer.models.store import accuracy
from explorer.models.training import Settings, train
from explorer.records import Progress

TINY = Recipe("tiny", (Cycle(1),), min_steps_tiny=8, batch_size=32)


def stripes(n: int = 128) -> TrainingData:
    """Two classes that are easy to separate: horizontal and vertical stripes in noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    pattern = np.indices((8, 8))[labels] % 4 // 2 * 150
    images = (pattern + rng.integers(0, 100, (n, 8, 8))).astype(np.uint8)[:, None]
    return TrainingData(images, labels, images, labels, 2, (125.0,), (80.0,), "data", "splits")


def run(
    folder: Path,
    on_progress: Callable[[Progress], None] = lambda _: None,
    recipe: Recipe = TINY,
    seed: int = 0,
    network: SlimmableNetwork | None = None,
) -> SlimmableNetwork:
    data = stripes()
    if network is None:
        torch.manual_seed(seed)
        network = build(2, data.image_shape, list(data.mean), list(data.std))
    train(network, data, Settings(recipe, seed, 0.25, 3), folder / "checkpoint", "key", on_progress)
    return network


def is_equal(a: SlimmableNetwork, b: SlimmableNetwork) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_train_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    for folder in (first, again, other):
        folder.mkdir()  # each with a checkpoint of its own

    made = run(first)
    assert is_equal(made, run(again))
    assert not is_equal(made, run(other, seed=1))


def test_train_that_was_finished_takes_its_weights_from_the_checkpoint(tmp_path: Path) -> None:
    reports: list[Progress] = []
    made = run(tmp_path)

    assert is_equal(made, run(tmp_path, reports.append, seed=1))
    assert reports == []


def test_train_interrupted_and_resumed_equals_an_uninterrupted_run(tmp_path: Path) -> None:
    steps: list[float] = []

    def interrupt(progress: Progress) -> None:
        steps.append(progress.done)
        if len(steps) <= 6:
            raise KeyboardInterrupt

    for _ in range(6):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, interrupt, seed=3)
    resumed = run(tmp_path, interrupt, seed=3)

    assert steps[:6] == [1, 2, 3, 5, 7, 9]  # a step of all widths counts twice
    (tmp_path / "checkpoint").unlink()
    assert is_equal(resumed, run(tmp_path, seed=3))


def test_train_reports_from_the_first_step_to_the_last(tmp_path: Path) -> None:
    reports: list[Progress] = []
    run(tmp_path, reports.append)

    assert [reports[0].done, reports[-1].done] == [1, 13]  # 3 steps of the widest network, 5 of all widths
    assert {(report.stage, report.total) for report in reports} == {("train", 13)}
    assert reports[0].note.startswith("epoch 1/")
    assert "all widths" in reports[-1].note


def test_train_longer_separates_the_classes_at_every_width_and_exit(tmp_path: Path) -> None:
    network, data = run(tmp_path, recipe=Recipe("short", (Cycle(1),), min_steps_tiny=50, batch_size=32)), stripes()

    for width in (0.25, 1.0, (0.25, 1.0, 0.5)):
        plain = network.materialize(width)
        recalibrate(plain, data.inputs)
        assert min(accuracy(plain, data.validation_inputs, data.validation_targets)) > 0.95


def test_train_in_a_cycle_of_only_shifts_sees_images_that_are_moved_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Augmentation] = []

    def watch(images: np.ndarray, how: Augmentation, rng: np.random.Generator) -> np.ndarray:
        seen.append(how)
        return augment(images, how, rng)

    monkeypatch.setattr(training, "augment", watch)
    cycles = (Cycle(1, warp=0.2), Cycle(1, only_shifts=True))
    run(tmp_path, recipe=Recipe("tiny", cycles, min_steps_tiny=4, batch_size=32, cutout_share=0.5, color_jitter=0.1))

    whole, plain = Augmentation(1, False, warp=0.2, cutout=4, color_jitter=0.1), Augmentation(1, False)
    assert seen == [whole] * (len(seen) // 2) + [plain] * (len(seen) // 2)
    assert len(seen) >= 4
