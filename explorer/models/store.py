"""Trained weights as a folder in the cache: trained, evaluated and written once; read back and verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from explorer.errors import ExplorerError
from explorer.models.base import (
    CARD,
    WEIGHTS,
    BaseNetwork,
    OnProgress,
    TrainingData,
    has_weights,
    recipe_named,
    weights_folder,
    weights_key,
)
from explorer.models.network import StagedNetwork, recalibrate
from explorer.models.recipes import Recipe
from explorer.models.registry import family_named
from explorer.models.sandwich import processor_dtype
from explorer.models.teacher import build_teacher
from explorer.models.training import Settings, train, training_device
from explorer.records import Progress
from explorer.system import files

_BATCH_SIZE = 250
_EVALUATED_WIDTHS = (0.25, 0.5, 0.75, 1.0)
_N_CALIBRATION_IMAGES = 4000  # means over 8 batches of 500; statistics of more images differ by less than their noise


@torch.inference_mode()
def accuracy(network: StagedNetwork, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[float]:
    """Return each exit's accuracy on `images` (uint8 [n, c, h, w], n >= 1), the final one last."""
    n_right = np.zeros(len(network.segments), dtype=np.int64)
    for start in range(0, len(images), _BATCH_SIZE):
        batch = torch.from_numpy(np.array(images[start : start + _BATCH_SIZE]))
        right = labels[start : start + _BATCH_SIZE]
        n_right += [int((logits.argmax(1).numpy() == right).sum()) for logits in network(batch)]
    return [round(float(n) / len(images), 5) for n in n_right]


def load_or_train(model: str, data: TrainingData, recipe: str, on_progress: OnProgress, seed: int = 0) -> BaseNetwork:
    """Return the base network `model`: a family's, from the cache or trained now; or "package.module:function".

    Training resumes after an interruption, and only one process trains the same weights. Raises ModelError for a model
    that cannot be loaded, ExplorerError for cached weights that cannot be read.
    """
    if ":" in model:
        from explorer.models.own import load_own

        return load_own(model, data)
    plan = recipe_named(recipe)
    folder = weights_folder(weights_key(model, data.fingerprint, data.splits_fingerprint, plan, seed))
    if not has_weights(folder):
        with _only_one(folder, on_progress):
            if not has_weights(folder):
                train_into(folder, model, data, plan, seed, on_progress)
    return load(model, data, folder)


@contextmanager
def _only_one(folder: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the lock of `folder`; report while another process holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder.with_suffix(".lock"))
    while True:
        try:
            lock.acquire(timeout=1.0)
            break
        except filelock.Timeout:
            on_progress(Progress("train", note="another process trains the same network; waiting for its weights"))
    try:
        yield
    finally:
        lock.release()


def train_into(
    folder: Path, model: str, data: TrainingData, recipe: Recipe, seed: int, on_progress: OnProgress
) -> None:
    """Train the family `model` and write weights and card, atomically; resumable from a checkpoint beside `folder`.

    The card has the validation accuracy of every exit for some widths, with recalibrated statistics.
    """
    family = family_named(model)
    network = untrained(model, data, seed)
    checkpoint = folder.with_suffix(".checkpoint.safetensors")
    teacher, seconds_before = trained_teacher(folder, data, recipe, seed, on_progress)
    settings = Settings(recipe, seed, family.widths.minimum, family.widths.n_stages, teacher)
    seconds = seconds_before + train(network, data, settings, checkpoint, folder.name, on_progress)
    network.to(device="cpu", memory_format=torch.contiguous_format)
    calibration = data.inputs[:: -(-len(data.inputs) // _N_CALIBRATION_IMAGES)]
    recalibrate(network, calibration)
    device = training_device()
    card = {
        "family": model,
        "version": family.version,
        "fingerprint": fingerprint_of(model, network),
        "data_fingerprint": data.fingerprint,
        "splits_fingerprint": data.splits_fingerprint,
        "recipe": asdict(recipe),
        "plan": asdict(recipe.plan(len(data.inputs), data.image_shape)),
        "image_shape": list(data.image_shape),
        "seed": seed,
        "validation_accuracy": _accuracies(network, data, calibration, family.widths.minimum),
        "seconds": round(seconds, 1),
        "device": str(device),
        "precision": str(processor_dtype(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": {package: version(package) for package in ("torch", "numpy")},
    }
    with files.new_folder(folder) as draft:
        (draft / WEIGHTS).write_bytes(save({n: t.contiguous() for n, t in network.state_dict().items()}))
        files.write_json(draft / CARD, card)
    for path in (checkpoint, _teacher_checkpoint(folder)):
        path.unlink(missing_ok=True)


def trained_teacher(
    folder: Path, data: TrainingData, recipe: Recipe, seed: int, on_progress: OnProgress
) -> tuple[nn.Module | None, float]:
    """Return the recipe's trained teacher, if any, and the seconds of its training, which is resumable."""
    if recipe.teacher is None:
        return None, 0.0
    teacher = build_teacher(data, seed)
    settings = Settings(recipe.teacher, seed, min_width=1.0, n_stages=1)
    seconds = train(teacher, data, settings, _teacher_checkpoint(folder), f"{folder.name} teacher", on_progress)
    return teacher.eval(), seconds


def load(model: str, data: TrainingData, folder: Path) -> BaseNetwork:
    """Return the base network of a folder that `train_into` wrote. Raises ExplorerError when it cannot be read."""
    network = untrained(model, data, seed=0)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        network.load_state_dict(load_file(folder / WEIGHTS))
        fingerprint = fingerprint_of(model, network)
        if card["fingerprint"] != fingerprint:
            raise ValueError("these are not the weights that were stored")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ExplorerError(
            f"the trained weights at {folder} do not read ({error}): delete that folder, and they are trained again."
        ) from error
    return BaseNetwork(model, data.n_outputs, fingerprint, card, network.eval())


def _teacher_checkpoint(folder: Path) -> Path:
    return folder.with_suffix(".teacher.safetensors")


def untrained(model: str, data: TrainingData, seed: int) -> Any:
    """Return the family's network with fresh weights from the seed; torch's generator is left unchanged."""
    family = family_named(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family.build(data.n_outputs, data.image_shape, list(data.mean), list(data.std))


def _accuracies(network: Any, data: TrainingData, calibration: Any, least: float) -> dict[str, list[float]]:
    """Return the validation accuracy of every exit, by width; `least` is the narrowest of the family."""
    found = {}
    for width in _EVALUATED_WIDTHS:
        if width < least:
            continue
        narrow = network.materialize(width=width) if width < 1.0 else network.materialize()
        recalibrate(narrow, calibration)
        found[f"{width:g}"] = accuracy(narrow, data.validation_inputs, data.validation_targets)
    return found


def fingerprint_of(model: str, network: Any) -> str:
    """Return the SHA-256 of family and architecture, and of every parameter and buffer: name, shape, type, bytes."""
    made_of = {"family": model, "version": family_named(model).version, "architecture": asdict(network.architecture)}
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
