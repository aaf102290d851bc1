"""The recovery fine-tune: a pruned network is trained on the base network's outputs, in a few seeded steps.

Knowledge distillation (Hinton, Vinyals & Dean 2015): every exit is trained on the base network's final outputs, as the
task's `lessons` make targets of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from explorer.models.augmentation import augment, batch_indices
from explorer.models.recipes import Augmentation, Plan
from explorer.models.sandwich import autocast

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explorer.models.network import StagedNetwork
    from explorer.tasks.task import Task

BATCH_SIZE = 128
_PEAK_LR = 0.02
_WARMUP = 0.2
_EXIT_WEIGHT = 0.3
_SEED = 0


@dataclass(frozen=True, slots=True)
class RecoveryBatches:
    """The same batches for every variant: inputs [s, b, ...], the teacher's lessons [s, b, k], and the task's loss."""

    inputs: Tensor
    lessons: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def prepare(cls, teacher: StagedNetwork, task: Task, inputs: NDArray[Any], n_steps: int) -> RecoveryBatches:
        """Draw seeded batches of training inputs [n, ...], images shifted and flipped, and compute the lessons."""
        none = Augmentation(0, has_flips=False)
        augmentation = Augmentation.shifts_and_flips(inputs.shape[1:]) if task.has_pixels else none
        plan = Plan(min(BATCH_SIZE, len(inputs)), max(1, len(inputs) // BATCH_SIZE), (), augmentation)
        rng = np.random.default_rng((_SEED, 1))
        indices = [batch_indices(len(inputs), plan, step, _SEED) for step in range(n_steps)]
        batches = [augment(inputs[chosen], augmentation, rng) for chosen in indices]
        drawn = torch.from_numpy(np.stack(batches))
        teacher.eval()
        with torch.no_grad(), autocast(drawn.device):
            lessons = torch.stack([task.lessons(teacher(batch)[-1].float()) for batch in drawn])
        return cls(drawn, lessons, task.loss)


@torch.enable_grad()  # a user's module may have disabled gradients for the whole process
def recover(network: StagedNetwork, batches: RecoveryBatches, on_step: Callable[[int, int], None]) -> StagedNetwork:
    """Return a copy of `network`, trained once on all `batches`; call `on_step(done, total)` after each step.

    SGD with Nesterov momentum under a one-cycle learning rate. Every parameter is trained; frozen ones, which were
    frozen for inference and fit removed channels, are frozen again afterwards. Deterministic on one machine.
    """
    torch.manual_seed(_SEED)
    student = copy.deepcopy(network).train()
    frozen = [p for p in student.parameters() if p.is_floating_point() and not p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    total = len(batches.inputs)
    optimizer = torch.optim.SGD(student.parameters(), lr=_PEAK_LR, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for step in range(total):
        for group in optimizer.param_groups:
            group["lr"] = _PEAK_LR * _cycle((step + 0.5) / total)
        with autocast(batches.inputs.device):
            outputs = student(batches.inputs[step])
        *early, final = (batches.loss(output.float(), batches.lessons[step]) for output in outputs)
        loss = final + _EXIT_WEIGHT * sum(early, start=torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        on_step(step + 1, total)
    for parameter in frozen:
        parameter.requires_grad_(False)
    return student.eval()


def _cycle(share: float) -> float:
    """Return the share of the peak rate for a share of the steps in (0, 1]: linear rise, cosine fall."""
    if share < _WARMUP:
        return share / _WARMUP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARMUP) / (1 - _WARMUP)))
