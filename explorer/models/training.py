"""Training of a slimmable network: the widest alone on labels, then all widths by the sandwich rule; resumable.

Distillation into many widths from the first step on learns slowly, since its teacher knows nothing yet; so the widest
has a head start, and the sandwich begins from its weights.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explorer.models.augmentation import augment, batch_indices, cut_mix
from explorer.models.checkpoint import Position, load_checkpoint, save_checkpoint
from explorer.models.recipes import Augmentation, Plan, PlannedCycle, Recipe
from explorer.models.sandwich import Opinion, add_gradients, other_widths, processor_dtype
from explorer.models.teacher import opinion
from explorer.models.training_data import TrainingData
from explorer.records import Progress, Width

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_SECONDS_BETWEEN_REPORTS = 1.0
_SANDWICH_COST = 2.0  # a step of all widths takes about as long as two of the widest alone

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What to train by: a recipe, a seed, the widths that the family serves, and the recipe's teacher, trained."""

    recipe: Recipe
    seed: int
    min_width: float
    n_stages: int
    teacher: nn.Module | None = None


def training_device() -> torch.device:
    """CUDA where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    network: nn.Module, data: TrainingData, settings: Settings, checkpoint: Path, key: str, on_progress: OnProgress
) -> float:
    """Train `network` (a `Slimmable`) in place on the training images, and return the seconds that it took.

    Goes on from `checkpoint` if that belongs to `key`, with the same result as without the interruption (on the same
    machine, with the same number of threads). An exception of `on_progress` ends it, after writing a checkpoint; there
    is one of its end as well. The batch-norm statistics that it leaves are not calibrated. Raises ValueError where a
    cycle of the recipe learns from a teacher and there is none.
    """
    recipe = settings.recipe
    if settings.teacher is None and any(cycle.teacher_share for cycle in recipe.cycles):
        raise ValueError(f"the recipe {recipe.name!r} has a cycle that learns from a teacher: expected one, got None.")
    plan = recipe.plan(len(data.images), data.image_shape)
    device = training_device()
    network.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = _optimizer(network, recipe)
    former = copy.deepcopy(network).eval() if settings.teacher else None
    position = load_checkpoint(checkpoint, network, optimizer, key, former) or Position(0, 0.0, key)
    started = time.monotonic() - position.seconds
    saved, reported = time.monotonic(), float("-inf")
    meter = _Meter(plan)
    for step in range(position.step, plan.n_steps):
        rng = np.random.default_rng((settings.seed, 1, step))
        cycle = plan.cycle_of(step)
        if step == cycle.first_step:
            optimizer.state.clear()  # no momentum of the cycle before
            if former is not None:
                former.load_state_dict(network.state_dict())
        images, targets = _batch(data, plan, step, settings.seed, rng, device)
        widths = _widths(cycle, step, settings, rng)
        optimizer.zero_grad(set_to_none=True)
        heard = _opinion((settings.teacher, former), images, cycle)
        meter.add(*add_gradients(network, images, targets, widths, recipe, heard))
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(recipe, cycle, step)
        optimizer.step()

        now = time.monotonic()
        here = Position(step + 1, now - started, key)
        if now - saved >= _SECONDS_BETWEEN_CHECKPOINTS:
            save_checkpoint(checkpoint, network, optimizer, here, former)
            saved = time.monotonic()
        if now - reported >= _SECONDS_BETWEEN_REPORTS or here.step == plan.n_steps:
            reported = now
            try:
                on_progress(meter.progress(here.step))
            except BaseException:  # a signal, or the listener is gone: raised again, with nothing lost
                save_checkpoint(checkpoint, network, optimizer, here, former)
                raise
    seconds = time.monotonic() - started
    save_checkpoint(checkpoint, network, optimizer, Position(plan.n_steps, seconds, key))
    return seconds


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay for convolutions and linear layers, none for biases and batch norm."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)


def _learning_rate(recipe: Recipe, cycle: PlannedCycle, step: int) -> float:
    """Up in a straight line to the cycle's peak, then down in one to zero."""
    share = (step - cycle.first_step + 0.5) / cycle.n_steps
    return cycle.cycle.peak_lr * min(share / recipe.warmup, (1 - share) / (1 - recipe.warmup))


def _widths(cycle: PlannedCycle, step: int, settings: Settings, rng: np.random.Generator) -> tuple[Width, ...]:
    """The networks beside the widest."""
    if step - cycle.first_step < cycle.n_widest_steps:
        return ()
    n_random, favored_share = settings.recipe.n_random_widths, cycle.cycle.favored_share
    return other_widths(n_random, favored_share, settings.min_width, settings.n_stages, rng)


def _opinion(teachers: tuple[nn.Module | None, ...], images: Tensor, cycle: PlannedCycle) -> Opinion | None:
    """The teachers' mean on the very images that the network sees.

    Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022; a network's own former
    state as one of them: Furlanello et al., "Born again neural networks", ICML 2018.
    """
    share = cycle.cycle.teacher_share
    if share == 0:
        return None
    dtype = processor_dtype(images.device)
    opinions = [opinion(teacher, images, dtype) for teacher in teachers if teacher is not None]
    return Opinion(torch.stack(opinions).mean(0), share)


def _batch(
    data: TrainingData, plan: Plan, step: int, seed: int, rng: np.random.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images uint8 [b, c, h, w] and targets [b, n_classes]."""
    indices = batch_indices(len(data.images), plan, step, seed)
    cycle = plan.cycle_of(step).cycle
    how = replace(plan.augmentation, warp=cycle.warp)
    if cycle.only_shifts:
        how = Augmentation(how.padding, how.has_flips)
    images = augment(data.images[indices], how, rng)
    targets = np.eye(data.n_classes, dtype=np.float32)[data.labels[indices]]
    if rng.random() < cycle.cutmix_share:
        images, targets = cut_mix(images, targets, rng)
    return (
        torch.from_numpy(images).to(device, memory_format=torch.channels_last),
        torch.from_numpy(targets).to(device),
    )


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
        cycle = plan.cycle_of(step - 1)
        phase = "widest" if step - cycle.first_step <= cycle.n_widest_steps else "all widths"
        epoch = (step - 1) // plan.steps_per_epoch + 1
        note = f"epoch {epoch}/{plan.n_epochs} · {phase} · loss {loss:.2f} · {accuracy:.1%}"
        return Progress("train", done=self._cost(step), total=self._cost(plan.n_steps), note=note)

    def _cost(self, step: int) -> float:
        """Time of the first `step` steps, in steps of the widest network."""
        done = [(min(max(0, step - c.first_step), c.n_steps), c.n_widest_steps) for c in self._plan.cycles]
        return sum(n + (_SANDWICH_COST - 1) * max(0, n - n_widest) for n, n_widest in done)
