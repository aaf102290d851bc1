"""Training of a slimmable network: the widest alone on labels, then all widths by the sandwich rule; resumable.

Distillation from an untrained teacher is slow. So the widest network is trained first, and the sandwich rule begins
from its weights.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from explorer.models.augmentation import augment, batch_indices, cut_mix
from explorer.models.base import TrainingData
from explorer.models.recipes import Augmentation, Plan, PlannedCycle, Recipe
from explorer.models.sandwich import SoftTargets, add_gradients, other_widths
from explorer.models.teacher import probabilities_of
from explorer.records import Progress, Width
from explorer.system import files

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_SECONDS_BETWEEN_REPORTS = 1.0
_SANDWICH_COST = 2.0  # a step of all widths takes about as long as two of the widest alone

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """A recipe, a seed, the widths that the family supports, and the recipe's trained teacher."""

    recipe: Recipe
    seed: int
    min_width: float
    n_stages: int
    teacher: nn.Module | None = None


def training_device() -> torch.device:
    """Return CUDA where available, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    network: nn.Module, data: TrainingData, settings: Settings, checkpoint: Path, key: str, on_progress: OnProgress
) -> float:
    """Train `network` (a `Slimmable`) in place on the training images, and return the seconds that it took.

    Resumes from `checkpoint` if that belongs to `key`, with the same result as without the interruption (on the same
    machine, with the same number of threads). An exception of `on_progress` ends it, after writing a checkpoint; the
    last step writes one as well. Batch-norm statistics are not recalibrated. Raises ValueError when a cycle of the
    recipe needs a teacher and there is none.
    """
    recipe = settings.recipe
    if settings.teacher is None and any(cycle.teacher_share for cycle in recipe.cycles):
        raise ValueError(f"the recipe {recipe.name!r} has a cycle that learns from a teacher: expected one, got None.")
    run = _Run(network, data, settings)
    position = load_checkpoint(checkpoint, network, run.optimizer, key, run.former) or Position(0, 0.0, key)
    started = time.monotonic() - position.seconds
    saved, reported = time.monotonic(), float("-inf")
    meter = _Meter(run.plan)
    for step in range(position.step, run.plan.n_steps):
        meter.add(*run.train_step(step))
        now = time.monotonic()
        here = Position(step + 1, now - started, key)
        if now - saved >= _SECONDS_BETWEEN_CHECKPOINTS:
            save_checkpoint(checkpoint, network, run.optimizer, here, run.former)
            saved = time.monotonic()
        if now - reported >= _SECONDS_BETWEEN_REPORTS or here.step == run.plan.n_steps:
            reported = now
            try:
                on_progress(meter.progress(here.step))
            except BaseException:  # such as a signal
                save_checkpoint(checkpoint, network, run.optimizer, here, run.former)
                raise
    seconds = time.monotonic() - started
    save_checkpoint(checkpoint, network, run.optimizer, Position(run.plan.n_steps, seconds, key))
    return seconds


class _Run:
    """A training run: the network, its optimizer, its state when the cycle began, and the training images."""

    def __init__(self, network: nn.Module, data: TrainingData, settings: Settings) -> None:
        self.plan = settings.recipe.plan(len(data.inputs), data.image_shape)
        self._data, self._settings, self._device = data, settings, training_device()
        self._network = network
        network.to(device=self._device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimizer = _optimizer(network, settings.recipe)
        self.former = copy.deepcopy(network).eval() if settings.teacher else None

    def train_step(self, step: int) -> tuple[Tensor, Tensor]:
        """Train one step, and return loss and number of correct images as `add_gradients` does."""
        rng = np.random.default_rng((self._settings.seed, 1, step))
        cycle = self.plan.cycle_of(step)
        if step == cycle.first_step:
            self.optimizer.state.clear()  # no momentum of the previous cycle
            if self.former is not None:
                self.former.load_state_dict(self._network.state_dict())
        images, targets = self._batch(step, rng)
        widths = self._other_widths(step, rng)
        self.optimizer.zero_grad(set_to_none=True)
        soft = self._soft_targets(cycle, images)
        loss, n_right = add_gradients(self._network, images, targets, widths, self._settings.recipe, soft)
        for group in self.optimizer.param_groups:
            group["lr"] = _learning_rate(self._settings.recipe, cycle, step)
        self.optimizer.step()
        return loss, n_right

    def _batch(self, step: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return images uint8 [b, c, h, w] and targets [b, n_classes]."""
        data, plan = self._data, self.plan
        indices = batch_indices(len(data.inputs), plan, step, self._settings.seed)
        cycle = plan.cycle_of(step).cycle
        how = replace(plan.augmentation, warp=cycle.warp)
        if cycle.only_shifts:
            how = Augmentation(how.padding, how.has_flips)
        images = augment(data.inputs[indices], how, rng)
        targets = np.eye(data.n_outputs, dtype=np.float32)[data.targets[indices]]
        if rng.random() < cycle.cutmix_share:
            images, targets = cut_mix(images, targets, rng)
        return (
            torch.from_numpy(images).to(self._device, memory_format=torch.channels_last),
            torch.from_numpy(targets).to(self._device),
        )

    def _other_widths(self, step: int, rng: np.random.Generator) -> tuple[Width, ...]:
        """Return the widths to train beside the widest network."""
        cycle, settings = self.plan.cycle_of(step), self._settings
        if step - cycle.first_step < cycle.n_widest_steps or settings.min_width == 1.0:
            return ()
        n_random, favored_share = settings.recipe.n_random_widths, cycle.cycle.favored_share
        return other_widths(n_random, favored_share, settings.min_width, settings.n_stages, rng)

    def _soft_targets(self, cycle: PlannedCycle, images: Tensor) -> SoftTargets | None:
        """Return the teachers' mean on the very images that the network is trained on; None without teachers.

        Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022; a network's own
        former state as one of them: Furlanello et al., "Born again neural networks", ICML 2018.
        """
        share = cycle.cycle.teacher_share
        if share == 0:
            return None
        teachers = [teacher for teacher in (self._settings.teacher, self.former) if teacher is not None]
        probabilities = [probabilities_of(teacher, images) for teacher in teachers]
        return SoftTargets(torch.stack(probabilities).mean(0), share)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Return SGD with Nesterov momentum, with weight decay for convolutions and linear layers only."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)


def _learning_rate(recipe: Recipe, cycle: PlannedCycle, step: int) -> float:
    """Return the rate of a linear rise to the cycle's peak and a linear fall to zero."""
    share = (step - cycle.first_step + 0.5) / cycle.n_steps
    return cycle.cycle.peak_lr * min(share / recipe.warmup, (1 - share) / (1 - recipe.warmup))


class _Meter:
    """Loss and accuracy of the widest network since the last report."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []

    def add(self, loss: Tensor, n_right: Tensor) -> None:
        """Record one step."""
        self._losses.append(loss)
        self._right.append(n_right)

    def progress(self, step: int) -> Progress:
        """Return the progress after `step` steps, with loss and accuracy of the last ones."""
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
        """Return the time of the first `step` steps, in steps of the widest network."""
        done = [(min(max(0, step - c.first_step), c.n_steps), c.n_widest_steps) for c in self._plan.cycles]
        return sum(n + (_SANDWICH_COST - 1) * max(0, n - n_widest) for n, n_widest in done)


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a training run: steps done, their seconds, and the key of the weights."""

    step: int
    seconds: float
    key: str


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: Position,
    former: nn.Module | None = None,
) -> None:
    """Write a checkpoint atomically; `former` is an earlier state of the network that training still needs.

    Everything else follows from the seed and the step. Raises OSError.
    """
    tensors = {f"network.{name}": tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    if former is not None:
        tensors |= {f"former.{name}": tensor.contiguous() for name, tensor in former.state_dict().items()}
    for name, parameter in network.named_parameters():
        if (momentum := optimizer.state[parameter].get("momentum_buffer")) is not None:
            tensors[f"momentum.{name}"] = momentum.contiguous()
    files.write_bytes(path, safetensors.torch.save(tensors, metadata={"position": json.dumps(asdict(position))}))


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, key: str, former: nn.Module | None = None
) -> Position | None:
    """Fill network, optimizer and `former` from a checkpoint; None, and nothing changed, without a valid one for `key`.

    `former` is filled only if the checkpoint has one.
    """
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None  # after a damaged checkpoint training starts again
    if position.key != key:
        return None
    network.load_state_dict(_strip(tensors, "network."))
    if former is not None and (earlier := _strip(tensors, "former.")):
        former.load_state_dict(earlier)
    momenta = _strip(tensors, "momentum.")
    for name, parameter in network.named_parameters():
        if name in momenta:
            momentum = torch.empty_like(parameter, requires_grad=False).copy_(momenta[name])
            optimizer.state[parameter]["momentum_buffer"] = momentum
    return position


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
