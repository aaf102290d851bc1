"""Trained weights as a folder: trained, judged and written once; read back and checked."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import load_file, save
from torch import nn

from explorer import files
from explorer.errors import ExplorerError
from explorer.models.base import CARD, WEIGHTS, BaseNetwork, OnProgress, fingerprint_of
from explorer.models.batch_norm import recalibrate
from explorer.models.held_out import check_held_out, signatures
from explorer.models.recipes import Recipe
from explorer.models.registry import FAMILIES, traits
from explorer.models.sandwich import processor_dtype
from explorer.models.shipped import shipped
from explorer.models.teacher import build_teacher
from explorer.models.training import Settings, train, training_device
from explorer.models.training_data import TrainingData
from explorer.models.validation import accuracy

_JUDGED_WIDTHS = (0.25, 0.5, 0.75, 1.0)
_HELD_OUT = "held_out"  # the name of a tensor, beside those of the network
_N_CALIBRATION_IMAGES = 4000  # means over 8 batches of 500; statistics of more images differ by less than their noise


def train_into(
    folder: Path, model: str, data: TrainingData, recipe: Recipe, seed: int, on_progress: OnProgress
) -> None:
    """Train the family `model` and write weights and card; whole, or resumable from a checkpoint beside `folder`.

    The card has the accuracy of every exit on the validation images, for some widths; its statistics are recalibrated.
    """
    facts = traits(model)
    network = _build(model, data, seed)
    checkpoint = folder.with_suffix(".checkpoint.safetensors")
    teacher, seconds_before = trained_teacher(folder, data, recipe, seed, on_progress)
    settings = Settings(recipe, seed, facts.min_width, facts.n_stages, teacher)
    seconds = seconds_before + train(network, data, settings, checkpoint, folder.name, on_progress)
    network.to(device="cpu", memory_format=torch.contiguous_format)
    calibration = data.images[:: -(-len(data.images) // _N_CALIBRATION_IMAGES)]
    recalibrate(network, calibration)
    device = training_device()
    card = {
        "family": model,
        "version": facts.version,
        "fingerprint": _fingerprint(model, network),
        "data_fingerprint": data.fingerprint,
        "splits_fingerprint": data.splits_fingerprint,
        "recipe": asdict(recipe),
        "plan": asdict(recipe.plan(len(data.images), data.image_shape)),
        "image_shape": list(data.image_shape),
        "seed": seed,
        "validation_accuracy": _accuracies(network, data, calibration),
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
    """The recipe's teacher, if it has one, and the seconds of its training, from a checkpoint beside `folder` or anew.

    Its last checkpoint is all that is kept of it.
    """
    if recipe.teacher is None:
        return None, 0.0
    teacher = build_teacher(data, seed)
    settings = Settings(recipe.teacher, seed, min_width=1.0, n_stages=1)
    seconds = train(teacher, data, settings, _teacher_checkpoint(folder), f"{folder.name} teacher", on_progress)
    return teacher.eval(), seconds


def load(model: str, data: TrainingData, folder: Path) -> BaseNetwork:
    """The base network of a folder that `train_into` wrote. Raises ExplorerError when it does not read."""
    network = _build(model, data, seed=0)
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        network.load_state_dict(load_file(folder / WEIGHTS))
        fingerprint = _fingerprint(model, network)
        if card["fingerprint"] != fingerprint:
            raise ValueError("these are not the weights that were stored")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ExplorerError(
            f"the trained weights at {folder} do not read ({error}): delete that folder, and they are trained again."
        ) from error
    return BaseNetwork(model, data.n_classes, fingerprint, card, network.eval())


def load_shipped(model: str, dataset: str, data: TrainingData) -> BaseNetwork:
    """The base network of the weights that come with the package for `dataset`, stored in float16, as float32.

    Raises UsageError when they were trained on validation images of `data`, ExplorerError when they do not read.
    """
    files_of = shipped(model, dataset)
    network = _build(model, data, seed=0)
    try:
        tensors = parse(files_of.content)
        held_out = tensors.pop(_HELD_OUT).numpy()
        network.load_state_dict(tensors)
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise ExplorerError(
            f"the shipped weights {files_of.path} do not read ({error}): install the package again."
        ) from error
    check_held_out(held_out, data.validation_images)
    return BaseNetwork(model, data.n_classes, _fingerprint(model, network), files_of.card, network.eval())


def write_shipped(folder: Path, name: str, base: BaseNetwork, data: TrainingData, facts: Mapping[str, Any]) -> None:
    """Write a trained `base` as `load_shipped` reads it: `<name>.safetensors`, and `<name>.json` with its SHA-256.

    Kernels and matrices become float16. The card is that of `base` with `facts` added; `data` is what it was trained
    with.
    """
    network = cast(nn.Module, base.network)
    large = {name for name, parameter in network.named_parameters() if parameter.ndim > 1}
    state = network.state_dict().items()
    tensors = {key: (tensor.half() if key in large else tensor).contiguous() for key, tensor in state}
    content = save({**tensors, _HELD_OUT: torch.from_numpy(signatures(data.validation_images))})
    card = {**facts, **base.card, "sha256": hashlib.sha256(content).hexdigest()}
    files.write_bytes(folder / f"{name}.safetensors", content)
    files.write_json(folder / f"{name}.json", card)


def _teacher_checkpoint(folder: Path) -> Path:
    return folder.with_suffix(".teacher.safetensors")


def _build(model: str, data: TrainingData, seed: int) -> Any:
    """The family's network with fresh weights that follow from the seed; torch's own generator is left alone."""
    family = importlib.import_module(FAMILIES[model])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family.build(data.n_classes, data.image_shape, list(data.mean), list(data.std))


def _accuracies(network: Any, data: TrainingData, calibration: Any) -> dict[str, list[float]]:
    """Validation accuracy of every exit, by width."""
    found = {}
    for width in _JUDGED_WIDTHS:
        narrow = network.materialise(width)
        recalibrate(narrow, calibration)
        found[f"{width:g}"] = accuracy(narrow, data.validation_images, data.validation_labels)
    return found


def _fingerprint(model: str, network: Any) -> str:
    made_of = {"family": model, "version": traits(model).version, "architecture": asdict(network.architecture)}
    return fingerprint_of(network, made_of)
