"""One training step: the widest network on labels, or the sandwich rule with in-place distillation.

In a sandwich step the widest network is trained on the labels, and its outputs are the targets of the narrowest
network, of some of random width, and of every early exit (Yu & Huang, "Universally Slimmable Networks and Improved
Training Techniques", ICCV 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.models.recipes import Recipe
from explorer.records import Width

_FAVORED = (0.5, 0.5, 0.75)  # 0.5 twice, since narrow networks need more training


class Slimmable(Protocol):
    """The interface for training of a family's network, an `nn.Module`."""

    def __call__(self, images: Tensor, width: Width = 1.0) -> list[Tensor]:
        """Map raw uint8 images [b, c, h, w] to logits [b, n_classes] of every exit, the final one last."""


def processor_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the processor multiplies it fast (CUDA from Ampere, AVX512-BF16, AMX), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


def autocast(device: torch.device) -> torch.autocast:
    """Return a context of forward passes in `processor_dtype`."""
    dtype = processor_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def other_widths(
    n_random: int, favored_share: float, min_width: float, n_stages: int, rng: np.random.Generator
) -> tuple[Width, ...]:
    """Return the narrowest width and `n_random` random ones.

    `favored_share` of these are favored widths; half of the others have one width per stage.
    """
    widths: list[Width] = [min_width]
    for _ in range(n_random):
        if rng.random() < favored_share:
            widths.append(float(rng.choice([width for width in _FAVORED if width >= min_width])))
        else:
            drawn = rng.uniform(min_width, 1.0, n_stages).tolist()
            is_per_stage = rng.random() < 0.5
            widths.append(tuple(drawn) if is_per_stage and n_stages > 1 else drawn[0])
    return tuple(widths)


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """A teacher's probabilities [b, n_classes], and their share in the targets."""

    probabilities: Tensor
    share: float

    def mixed_with(self, targets: Tensor) -> Tensor:
        """Return the weighted mean with `targets` [b, n_classes]."""
        return self.share * self.probabilities + (1 - self.share) * targets


def add_gradients(
    network: Slimmable,
    images: Tensor,
    targets: Tensor,
    widths: tuple[Width, ...],
    recipe: Recipe,
    soft: SoftTargets | None = None,
) -> tuple[Tensor, Tensor]:
    """Add the gradients of one step to those of the network's parameters.

    `images` are uint8 [b, c, h, w], `targets` probabilities [b, n_classes]; `widths` are the networks that are trained
    on the widest one's outputs. Without any, its exits are trained on the targets too. `soft` targets, if given, are
    mixed into all targets. Returns the loss of the widest network's final head, and its number of correct images.
    """

    def logits_of(width: Width) -> list[Tensor]:
        with autocast(images.device):
            return [logits.float() for logits in (network(images) if width == 1.0 else network(images, width))]

    *exits, final = logits_of(1.0)
    n_classes = targets.shape[1]
    smooth = (1 - recipe.label_smoothing) * targets + recipe.label_smoothing / n_classes
    own = F.softmax(final.detach(), dim=1) if widths else smooth
    learned, taught = (smooth, own) if soft is None else map(soft.mixed_with, (smooth, own))
    final_loss = F.cross_entropy(final, learned)
    (final_loss + recipe.exit_weight * _exit_loss(exits, taught)).backward()  # type: ignore[no-untyped-call]
    for width in widths:
        *exits, narrow_final = logits_of(width)
        loss = F.cross_entropy(narrow_final, taught) + recipe.exit_weight * _exit_loss(exits, taught)
        loss.backward()  # type: ignore[no-untyped-call]
    return final_loss.detach(), (final.detach().argmax(1) == targets.argmax(1)).sum()


def _exit_loss(exits: list[Tensor], taught: Tensor) -> Tensor:
    """Return the sum over the early exits, for probabilities [b, n_classes]."""
    losses = [F.cross_entropy(logits, taught) for logits in exits]
    return torch.stack(losses).sum() if losses else taught.new_zeros(())
