"""Training recipes by name: everything, beside the images and the seed, that determines the trained weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Cycle:
    """One rise and fall of the learning rate.

    epochs         passes over the training images
    peak_lr        largest learning rate (per batch of the recipe's size); each cycle begins and ends at zero
    widest_share   share of the steps, the first ones, that train the widest network alone, before the sandwich rule
    favored_share  share of the random widths that are 0.5 or 0.75, which are frequent in search spaces
    cutmix_share   share of the batches that are augmented by CutMix
    warp           largest deviation of an entry of the affine maps' matrix from the identity's; half of the images are
                   mapped
    only_shifts    whether shifts and flips are the only augmentation
    teacher_share  weight of the soft targets, from the teacher and from the network at the beginning of the cycle; the
                   rest comes from the labels, or from the widest network
    """

    epochs: int
    peak_lr: float = 0.3
    widest_share: float = 0.4
    favored_share: float = 0.0
    cutmix_share: float = 0.0
    warp: float = 0.0
    only_shifts: bool = False
    teacher_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The random changes of single images (sizes in pixels)."""

    padding: int
    has_flips: bool
    warp: float = 0.0
    cutout: int = 0
    color_jitter: float = 0.0

    @classmethod
    def shifts_and_flips(cls, image_shape: tuple[int, ...], crop_share: float = 1 / 16) -> Augmentation:
        """Return shifts of images (c, h, w) by a share of the side, and flips of those in color.

        Gray images, mostly characters, are not flipped.
        """
        return cls(padding=math.ceil(crop_share * min(image_shape[1:])), has_flips=image_shape[0] == 3)


@dataclass(frozen=True, slots=True)
class PlannedCycle:
    """A cycle in steps, beginning at `first_step`."""

    cycle: Cycle
    first_step: int
    n_steps: int
    n_widest_steps: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe applied to one data set."""

    batch_size: int
    steps_per_epoch: int
    cycles: tuple[PlannedCycle, ...]
    augmentation: Augmentation

    @property
    def n_steps(self) -> int:
        """Steps of all cycles."""
        return sum(cycle.n_steps for cycle in self.cycles)

    @property
    def n_epochs(self) -> int:
        """Passes over the training images."""
        return math.ceil(self.n_steps / self.steps_per_epoch)

    def cycle_of(self, step: int) -> PlannedCycle:
        """Return the cycle of `step` in [0, n_steps)."""
        return next(cycle for cycle in reversed(self.cycles) if cycle.first_step <= step)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The training of a base network.

    cycles             their epochs are a minimum; there are more where these give fewer steps than `min_steps`
    min_steps          for images of at least 16 pixels a side; `min_steps_tiny` for smaller ones, which train sooner
    batch_size         images a step; small data sets take smaller batches, so that an epoch has 16 steps or more
    warmup             share of a cycle's steps in which the learning rate rises
    exit_weight        weight of the early exits in the loss, relative to the final head
    n_random_widths    networks of random width in each sandwich step, beside the widest and the narrowest
    crop_share         largest shift of an image, as a share of its side
    cutout_share       side of the cutout square, as a share of the image's side
    color_jitter       largest change of brightness and contrast, as a share of the range
    teacher            recipe of the teacher, for cycles that have one
    """

    name: str
    cycles: tuple[Cycle, ...]
    min_steps: int = 1000
    min_steps_tiny: int = 300
    batch_size: int = 256
    warmup: float = 0.15
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    exit_weight: float = 0.3
    n_random_widths: int = 1
    crop_share: float = 1 / 16
    cutout_share: float = 0.0
    color_jitter: float = 0.0
    teacher: Recipe | None = None

    def plan(self, n_images: int, image_shape: tuple[int, int, int]) -> Plan:
        """Apply the recipe to `n_images` training images of shape (c, h, w)."""
        batch_size = max(1, min(self.batch_size, max(16, n_images // 16), n_images))
        steps_per_epoch = n_images // batch_size
        side = min(image_shape[1:])
        least = self.min_steps_tiny if side < 16 else self.min_steps
        stretch = max(1.0, least / (steps_per_epoch * sum(cycle.epochs for cycle in self.cycles)))
        cycles: list[PlannedCycle] = []
        first_step = 0
        for cycle in self.cycles:
            n_steps = math.ceil(stretch * cycle.epochs * steps_per_epoch)
            cycles.append(PlannedCycle(cycle, first_step, n_steps, round(cycle.widest_share * n_steps)))
            first_step += n_steps
        return Plan(
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            cycles=tuple(cycles),
            augmentation=replace(
                Augmentation.shifts_and_flips(image_shape, self.crop_share),
                cutout=round(self.cutout_share * side),
                color_jitter=self.color_jitter,
            ),
        )


# For 45,000 images of 32×32 on two cores with AVX512-BF16: "default" takes at most 15 minutes; "long" an hour and a
# half; "shipped", which gave the weights of the package, six to eight hours. "quick" takes a minute or two,
# for trying a search space: its networks have low accuracy.
RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("default", (Cycle(10),)),
        Recipe("long", (Cycle(60),), crop_share=1 / 8),
        Recipe(
            "shipped",
            (
                Cycle(64, widest_share=0.35),
                Cycle(70, peak_lr=0.15, widest_share=0.0, favored_share=0.6, cutmix_share=0.5),
                Cycle(30, peak_lr=0.1, widest_share=0.0, favored_share=0.6, cutmix_share=0.5, teacher_share=0.7),
                Cycle(
                    40, peak_lr=0.15, widest_share=0.0, favored_share=0.6, cutmix_share=0.6, warp=0.2, teacher_share=0.8
                ),
                Cycle(8, peak_lr=0.03, widest_share=0.0, favored_share=0.6, only_shifts=True, teacher_share=0.8),
            ),
            crop_share=1 / 8,
            cutout_share=1 / 4,
            color_jitter=0.1,
            teacher=Recipe(
                "teacher",
                (Cycle(45, peak_lr=0.2, widest_share=1.0, cutmix_share=0.5, warp=0.2),),
                label_smoothing=0.0,
                crop_share=1 / 8,
                color_jitter=0.1,
            ),
        ),
        Recipe("quick", (Cycle(1),), min_steps=100),
    )
}
