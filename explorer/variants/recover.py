"""The recovery fine-tune: a pruned network learns again what the base network says, in a few seeded steps.

Knowledge distillation (Hinton, Vinyals & Dean 2015): every exit learns the base network's final probabilities.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.models.augmentation import augment, batch_indices
from explorer.models.recipes import Augmentation, Plan
from explorer.models.sandwich import processor_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explorer.models.network import StagedNetwork

BATCH_SIZE = 128
_PEAK_LR = 0.02
_WARMUP = 0.2
_EXIT_WEIGHT = 0.3
_SEED = 0


@dataclass(frozen=True, slots=True)
class Lessons:
    """The same batches for every variant: images uint8 [s, b, c, h, w], and the teacher's probabilities [s, b, k]."""

    images: Tensor
    targets: Tensor

    @classmethod
    def prepare(cls, teacher: StagedNetwork, images: NDArray[np.uint8], n_steps: int) -> Lessons:
        """Draw `n_steps` seeded batches of the training images [n, c, h, w], shifted and flipped, and ask `teacher`."""
        augmentation = Augmentation(padding=math.ceil(min(images.shape[2:]) / 16), has_flips=images.shape[1] == 3)
        plan = Plan(min(BATCH_SIZE, len(images)), max(1, len(images) // BATCH_SIZE), (), augmentation)
        rng = np.random.default_rng((_SEED, 1))
        indices = [batch_indices(len(images), plan, step, _SEED) for step in range(n_steps)]
        batches = [augment(images[chosen], augmentation, rng) for chosen in indices]
        drawn = torch.from_numpy(np.stack(batches))
        teacher.eval()
        with torch.no_grad(), autocast():
            targets = torch.stack([teacher(batch)[-1].float().softmax(dim=1) for batch in drawn])
        return cls(drawn, targets)


def recover(network: StagedNetwork, lessons: Lessons, on_step: Callable[[int, int], None]) -> StagedNetwork:
    """A copy of `network`, trained on all of `lessons` once. `on_step(done, total)` is told after each step.

    SGD with Nesterov momentum under a one-cycle learning rate. Deterministic on one machine.
    """
    torch.manual_seed(_SEED)
    student = copy.deepcopy(network).train()
    total = len(lessons.images)
    optimizer = torch.optim.SGD(student.parameters(), lr=_PEAK_LR, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for step in range(total):
        for group in optimizer.param_groups:
            group["lr"] = _PEAK_LR * _cycle((step + 0.5) / total)
        with autocast():
            exits = student(lessons.images[step])
        loss = _loss(exits, lessons.targets[step])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        on_step(step + 1, total)
    return student.eval()


def autocast() -> torch.autocast:
    """Forward passes in bfloat16 where the processor multiplies it fast, in float32 elsewhere."""
    dtype = processor_dtype(torch.device("cpu"))
    return torch.autocast("cpu", dtype, enabled=dtype != torch.float32)


def _cycle(share: float) -> float:
    """Linear rise, cosine fall: share of the steps in (0, 1] -> share of the peak rate."""
    if share < _WARMUP:
        return share / _WARMUP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARMUP) / (1 - _WARMUP)))


def _loss(exits: list[Tensor], target: Tensor) -> Tensor:
    losses = [F.cross_entropy(logits.float(), target) for logits in exits]
    return losses[-1] + _EXIT_WEIGHT * sum(losses[:-1], start=torch.zeros(()))
