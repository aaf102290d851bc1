"""Weights in the cache: trained once, found again, refused when damaged."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
import torch

from explorer.errors import ExplorerError, ModelError
from explorer.models import base
from explorer.models.base import (
    BaseNetwork,
    TrainingData,
    has_weights,
    recipe_named,
    trained_shapes,
    weights_folder,
    weights_key,
)
from explorer.models.recipes import RECIPES, Cycle, Recipe
from explorer.models.store import load_or_train
from explorer.records import Progress, Variant


def labelled(images: np.ndarray, labels: np.ndarray) -> TrainingData:
    return TrainingData(images, labels, images, labels, 2, (0.0,), (1.0,), "data", "splits")


def test_image_shape_is_that_of_one_image() -> None:
    assert labelled(np.zeros((3, 1, 8, 9), np.uint8), np.zeros(3, np.int64)).image_shape == (1, 8, 9)


@pytest.mark.parametrize(("shape", "dtype"), [((3, 1, 8, 8), np.float32), ((3, 8, 8), np.uint8)])
def test_image_shape_of_what_is_no_image_is_refused(shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        labelled(np.zeros(shape, dtype), np.zeros(3, np.int64)).image_shape  # noqa: B018


@pytest.mark.parametrize(("n", "n_labels"), [(3, 2), (0, 0)])
def test_as_many_targets_as_inputs_are_expected(n: int, n_labels: int) -> None:
    with pytest.raises(ValueError, match="as many inputs as targets"):
        labelled(np.zeros((n, 1, 8, 8), np.uint8), np.zeros(n_labels, np.int64))


FAMILY = "slimmable_cnn"
HALF = Variant(width=0.5)
TINY = Recipe("tiny", (Cycle(1),), min_steps_tiny=3, batch_size=16)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path))
    monkeypatch.setattr(base, "RECIPES", {**RECIPES, "tiny": TINY})


def data() -> TrainingData:
    images = np.random.default_rng(0).integers(0, 256, (48, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(48) % 3
    return TrainingData(images, labels, images[:10], labels[:10], 3, (127.0,), (70.0,), "data", "splits")


def trained(on_progress: list[Progress] | None = None, seed: int = 0) -> BaseNetwork:
    reports: list[Progress] = [] if on_progress is None else on_progress
    return load_or_train(FAMILY, data(), "tiny", reports.append, seed)


def find_weights(family: str, of_data: str, splits: str, recipe: str, seed: int = 0) -> Path | None:
    """The folder of trained weights, or None."""
    folder = weights_folder(weights_key(family, of_data, splits, recipe_named(recipe), seed))
    return folder if has_weights(folder) else None


def test_load_or_train_trains_once_and_loads_the_same_weights_afterwards() -> None:
    first_reports: list[Progress] = []
    second_reports: list[Progress] = []
    first, second = trained(first_reports), trained(second_reports)

    assert first_reports
    assert not second_reports
    assert first.fingerprint == second.fingerprint
    assert first.card == second.card
    images = torch.from_numpy(data().inputs)
    for a, b in zip(first.materialize(HALF)(images), second.materialize(HALF)(images), strict=True):
        assert torch.equal(a, b)


def test_load_or_train_leaves_weights_and_a_card_and_no_checkpoint(tmp_path: Path) -> None:
    network = trained()
    folder = find_weights(FAMILY, "data", "splits", "tiny")

    assert folder is not None
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "weights.safetensors"]
    assert not list(tmp_path.rglob("*.checkpoint.*"))
    card = json.loads((folder / "card.json").read_text())
    assert card["fingerprint"] == network.fingerprint
    assert card["recipe"]["name"] == "tiny"
    assert all(0 <= accuracy <= 1 for exits in card["validation_accuracy"].values() for accuracy in exits)
    assert len(card["validation_accuracy"]["0.25"]) == 3


def test_load_or_train_calibrates_the_statistics_of_full_width() -> None:
    norms = [
        module for module in trained().materialize(Variant()).modules() if isinstance(module, torch.nn.BatchNorm2d)
    ]

    assert all(norm.running_mean.abs().sum() > 0 for norm in norms)
    assert all((norm.running_var != 1).all() for norm in norms)


def test_fingerprint_follows_the_seed() -> None:
    assert trained(seed=0).fingerprint != trained(seed=1).fingerprint


def test_find_weights_of_what_was_not_trained_is_none() -> None:
    trained()

    assert find_weights(FAMILY, "data", "splits", "tiny", seed=1) is None
    assert find_weights(FAMILY, "other", "splits", "tiny") is None
    assert find_weights(FAMILY, "data", "other", "tiny") is None
    assert find_weights(FAMILY, "data", "splits", "default") is None


def test_trained_shapes_are_those_of_the_family_and_recipe_whatever_else_lies_there(tmp_path: Path) -> None:
    card = trained().card
    (tmp_path / "weights" / "damaged").mkdir()
    (tmp_path / "weights" / "damaged" / "card.json").write_text("{")

    assert trained_shapes(FAMILY, "tiny") == [card["image_shape"]]
    assert trained_shapes(FAMILY, "default") == []


def test_weights_key_follows_everything_that_determines_the_weights() -> None:
    keys = {
        weights_key(FAMILY, "data", "splits", TINY, 0),
        weights_key(FAMILY, "data2", "splits", TINY, 0),
        weights_key(FAMILY, "data", "splits2", TINY, 0),
        weights_key(FAMILY, "data", "splits", replace(TINY, momentum=0.5), 0),
        weights_key(FAMILY, "data", "splits", TINY, 1),
    }

    assert len(keys) == 5
    assert weights_key(FAMILY, "data", "splits", TINY, 0) in keys


@pytest.mark.parametrize("name", ["weights.safetensors", "card.json"])
def test_load_or_train_damaged_files_are_refused_with_the_remedy(name: str) -> None:
    trained()
    folder = find_weights(FAMILY, "data", "splits", "tiny")
    assert folder is not None
    content = bytearray((folder / name).read_bytes())
    content[-8:] = b"\xff" * 8
    (folder / name).write_bytes(content)

    with pytest.raises(ExplorerError, match="delete that folder"):
        trained()


def test_load_or_train_after_an_interruption_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_train(FAMILY, data(), "tiny", interrupt)
    assert find_weights(FAMILY, "data", "splits", "tiny") is None
    reports: list[Progress] = []
    resumed = trained(reports)
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "other"))

    assert reports[0].done == 3  # a step of the widest network, and one of all widths, which counts twice
    assert resumed.fingerprint == trained().fingerprint


def test_load_or_train_while_another_process_trains_waits_and_reports_it(tmp_path: Path) -> None:
    key = weights_key(FAMILY, "data", "splits", TINY, 0)
    lock = filelock.FileLock(tmp_path / "weights" / f"{key}.lock", thread_local=False)
    (tmp_path / "weights").mkdir()
    lock.acquire()
    notes: list[str] = []
    waits = threading.Event()

    def on_progress(progress: Progress) -> None:
        notes.append(progress.note)
        waits.set()

    waiting = threading.Thread(target=load_or_train, args=(FAMILY, data(), "tiny", on_progress))
    waiting.start()
    assert waits.wait(60)
    lock.release()
    waiting.join()

    assert "another process trains the same network" in notes[0]
    assert find_weights(FAMILY, "data", "splits", "tiny") is not None


def test_load_or_train_unknown_family_or_recipe_is_refused() -> None:
    with pytest.raises(ModelError, match="did you mean 'slimmable_cnn'"):
        load_or_train("slimable_cnn", data(), "tiny", lambda _: None)
    with pytest.raises(ModelError, match=r"one of default, .*; got 'no_such'"):
        load_or_train(FAMILY, data(), "no_such", lambda _: None)
