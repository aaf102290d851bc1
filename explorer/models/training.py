"""Training of a slimmable network: the widest alone on labels, then all widths by the sandwich rule; resumable.

Distillation into many widths from the first step on learns slowly, since its teacher knows nothing yet; so the widest
has a head start, and the sandwich begins from its weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explorer.models.augmentation import augment, batch_indices
from explorer.models.checkpoint import Position, load_checkpoint, save_checkpoint
from explorer.models.recipes import Plan, Recipe
from explorer.models.sandwich import add_gradients, other_widths
from explorer.models.training_data import TrainingData
from explorer.records import Progress

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_SECONDS_BETWEEN_REPORTS = 1.0
_SANDWICH_COST = 2.0  # a step of all widths takes about as long as two of the widest alone

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What to train by: a recipe, a seed, and the widths that the family serves."""

    recipe: Recipe
    seed: int
    min_width: float
    n_stages: int


def training_device() -> torch.device:
    """CUDA where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    network: nn.Module, data: TrainingData, settings: Settings, checkpoint: Path, key: str, on_progress: OnProgress
) -> float:
    """Train `network` (a `Slimmable`) in place on the training images, and return the seconds that it took.

    Goes on from `checkpoint` if that belongs to `key`, with the same result as without the interruption (on the same
    machine, with the same number of threads). An exception of `on_progress` ends it, after writing a checkpoint. The
    batch-norm statistics that it leaves are not calibrated.
    """
    recipe = settings.recipe
    plan = recipe.plan(len(data.images), data.image_shape)
    device = training_device()
    network.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = _optimizer(network, recipe)
    position = load_checkpoint(checkpoint, network, optimizer, key) or Position(0, 0.0, key)
    started = time.monotonic() - position.seconds
    saved, reported = time.monotonic(), float("-inf")
    meter = _Meter(plan)
    for step in range(position.step, plan.n_steps):
        rng = np.random.default_rng((settings.seed, 1, step))
        images, labels = _batch(data, plan, step, settings.seed, rng, device)
        is_sandwich = step >= plan.n_widest_steps
        widths = other_widths(recipe.n_random_widths, settings.min_width, settings.n_stages, rng) if is_sandwich else ()
        optimizer.zero_grad(set_to_none=True)
        meter.add(*add_gradients(network, images, labels, widths, recipe))
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(recipe, (step + 0.5) / plan.n_steps)
        optimizer.step()

        now = time.monotonic()
        here = Position(step + 1, now - started, key)
        if now - saved >= _SECONDS_BETWEEN_CHECKPOINTS:
            save_checkpoint(checkpoint, network, optimizer, here)
            saved = time.monotonic()
        if now - reported >= _SECONDS_BETWEEN_REPORTS or here.step == plan.n_steps:
            reported = now
            try:
                on_progress(meter.progress(here.step))
            except BaseException:  # a signal, or the listener is gone: raised again, with nothing lost
                save_checkpoint(checkpoint, network, optimizer, here)
                raise
    return time.monotonic() - started


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay for convolutions and linear layers, none for biases and batch norm."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.peak_lr, momentum=recipe.momentum, nesterov=True)


def _learning_rate(recipe: Recipe, share: float) -> float:
    """Up in a straight line to the peak, then down in one to zero; `share` of the steps are done."""
    return recipe.peak_lr * min(share / recipe.warmup, (1 - share) / (1 - recipe.warmup))


def _batch(
    data: TrainingData, plan: Plan, step: int, seed: int, rng: np.random.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    indices = batch_indices(len(data.images), plan, step, seed)
    images = torch.from_numpy(augment(data.images[indices], plan, rng))
    labels = torch.from_numpy(data.labels[indices].astype(np.int64))
    return images.to(device, memory_format=torch.channels_last), labels.to(device)


class _Meter:
    """Loss and accuracy of the widest network since the last report."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []

    def add(self, loss: Tensor, n_right: Tensor) -> None:
        """Note one step."""
        self._losses.append(loss)
        self._right.append(n_right)

    def progress(self, step: int) -> Progress:
        """Progress after `step` steps, of which the last ones make the note."""
        plan = self._plan
        loss = float(torch.stack(self._losses).mean())
        accuracy = float(torch.stack(self._right).sum()) / (len(self._right) * plan.batch_size)
        self._losses.clear()
        self._right.clear()
        phase = "widest" if step <= plan.n_widest_steps else "all widths"
        epoch = (step - 1) // plan.steps_per_epoch + 1
        note = f"epoch {epoch}/{plan.n_epochs} · {phase} · loss {loss:.2f} · {accuracy:.1%}"
        return Progress("train", done=self._cost(step), total=self._cost(plan.n_steps), note=note)

    def _cost(self, step: int) -> float:
        """Time of the first `step` steps, in steps of the widest network."""
        return step + (_SANDWICH_COST - 1) * max(0, step - self._plan.n_widest_steps)
