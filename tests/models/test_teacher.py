"""The teacher: its whitened first layer, its shape, its probabilities, and distillation from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from explorer.models.base import TrainingData
from explorer.models.recipes import Cycle, Recipe
from explorer.models.slimmable_cnn import build
from explorer.models.teacher import Teacher, build_teacher, probabilities_of
from explorer.models.training import Settings, train


def colored(n: int = 64) -> TrainingData:
    """Smooth color images of two classes: more red, and more blue."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    coarse = rng.integers(60, 120, (n, 3, 4, 4))
    coarse[np.arange(n), labels * 2] += 100
    images = (np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3) + rng.integers(0, 20, (n, 3, 16, 16))).astype(np.uint8)
    return TrainingData(images, labels, images, labels, 2, (110.0,) * 3, (50.0,) * 3, "data", "splits")


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return build_teacher(colored(), 0).eval()


def test_build_teacher_first_layer_gives_uncorrelated_features_of_unit_variance(teacher: Teacher) -> None:
    images = torch.from_numpy(colored().inputs)
    with torch.no_grad():
        features = F.conv2d(teacher.normalize(images), teacher.first.weight)
    half = features[:, : features.shape[1] // 2].permute(1, 0, 2, 3).flatten(1)
    covariance = (half @ half.T / half.shape[1]).numpy()
    strong = np.diag(covariance) > 0.5  # the weakest are held down by what keeps them from dividing by nothing
    assert strong.sum() >= 3
    assert np.abs(covariance[strong][:, strong] - np.eye(strong.sum())).max() < 0.1


def test_build_teacher_seed_decides_and_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    made = [build_teacher(colored(), seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(1), expected)
    weights = [next(one.classifier.parameters()) for one in made]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_teacher_whitening_is_unchanged_by_training() -> None:
    data = colored()
    teacher = build_teacher(data, 0)
    assert not teacher.first.weight.requires_grad
    logits = teacher.train()(torch.from_numpy(data.inputs))[-1]
    F.cross_entropy(logits, torch.from_numpy(data.targets)).backward()
    assert teacher.first.weight.grad is None
    assert teacher.classifier.weight.grad is not None


def test_probabilities_of_have_no_gradient(teacher: Teacher) -> None:
    made = probabilities_of(teacher, torch.from_numpy(colored().inputs[:5]))
    assert made.shape == (5, 2)
    assert torch.allclose(made.sum(1), torch.ones(5))
    assert not made.requires_grad


def test_train_with_a_teacher_follows_it_against_the_labels(tmp_path: Path) -> None:
    """All of what is learned comes from a teacher that is sure of class 1: the network learns just that."""
    data = colored()
    recipe = Recipe("tiny", (Cycle(1, widest_share=0.0, teacher_share=1.0),), min_steps=30, batch_size=32)

    class Sure(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [torch.tensor([[-20.0, 20.0]]).repeat(len(images), 1)]

    torch.manual_seed(0)
    network = build(2, data.image_shape, list(data.mean), list(data.std))
    with torch.no_grad():
        before = F.softmax(network(torch.from_numpy(data.inputs))[-1], dim=1)[:, 1].mean()
    train(network, data, Settings(recipe, 0, 0.25, 3, Sure()), tmp_path / "c", "key", lambda _: None)
    with torch.no_grad():
        after = F.softmax(network.train()(torch.from_numpy(data.inputs))[-1], dim=1)[:, 1].mean()
    assert after > before + 0.1


def test_train_without_the_teacher_that_its_recipe_needs_is_refused_before_the_first_step(tmp_path: Path) -> None:
    data = colored()
    network = build(2, data.image_shape, list(data.mean), list(data.std))
    recipe = Recipe("tiny", (Cycle(1), Cycle(1, teacher_share=0.7)), min_steps=2, batch_size=32)

    with pytest.raises(ValueError, match="the recipe 'tiny' has a cycle that learns from a teacher"):
        train(network, data, Settings(recipe, 0, 0.25, 3), tmp_path / "c", "key", lambda _: pytest.fail("it began"))
    assert not (tmp_path / "c").exists()


def test_train_with_a_teacher_interrupted_and_resumed_equals_an_uninterrupted_run(tmp_path: Path) -> None:
    """The network's former self, which teaches too, comes back with the checkpoint."""
    data = colored()
    cycles = (Cycle(1, widest_share=0.5), Cycle(1, widest_share=0.0, teacher_share=0.7))
    recipe = Recipe("tiny", cycles, min_steps=12, batch_size=32)
    settings = Settings(recipe, 0, 0.25, 3, build_teacher(data, 0).eval())

    class Stopped(Exception):
        pass

    def run(folder: str, stop_at: int | None) -> dict[str, torch.Tensor]:
        calls: list[int] = []

        def report(_: object) -> None:
            calls.append(1)
            if stop_at is not None and len(calls) == stop_at:
                raise Stopped

        torch.manual_seed(0)
        network = build(2, data.image_shape, list(data.mean), list(data.std))
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("explorer.models.training._SECONDS_BETWEEN_REPORTS", 0.0)
            train(network, data, settings, path / "c", "key", report)
        return network.state_dict()

    whole = run("whole", None)
    with pytest.raises(Stopped):
        run("cut", 9)  # in the second cycle
    resumed = run("cut", None)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
