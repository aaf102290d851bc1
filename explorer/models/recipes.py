"""Training recipes by name: everything, beside the images and the seed, that determines the trained weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe applied to one data set: counts of steps and images, and how images are augmented (sizes in pixels)."""

    n_steps: int
    n_widest_steps: int
    steps_per_epoch: int
    batch_size: int
    padding: int
    has_flips: bool
    cutout: int = 0
    color_jitter: float = 0.0

    @property
    def n_epochs(self) -> int:
        """Passes over the training images."""
        return math.ceil(self.n_steps / self.steps_per_epoch)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a base network is trained.

    epochs             passes over the training images, at least; more where these give fewer than `min_steps`
    min_steps          of images of 16 pixels a side and more; `min_steps_tiny` of smaller ones, which are learned soon
    batch_size         images a step; small data sets take smaller batches, so that an epoch has 16 steps or more
    peak_lr            learning rate (per batch of `batch_size`) that the schedule rises to and falls from, to zero
    warmup             share of the steps in which it rises
    widest_share       share of the steps that train the widest network alone, before the sandwich rule
    exit_weight        weight of the early exits in the loss, relative to the final head
    n_random_widths    networks of random width in each sandwich step, beside the widest and the narrowest
    crop_share         largest shift of an image, as a share of its side
    cutout_share       side of the square that is hidden in each image, as a share of the image's side
    color_jitter       largest change of brightness and contrast, as a share of the range
    """

    name: str
    epochs: int
    min_steps: int = 1000
    min_steps_tiny: int = 300
    batch_size: int = 256
    peak_lr: float = 0.3
    warmup: float = 0.15
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    widest_share: float = 0.4
    exit_weight: float = 0.3
    n_random_widths: int = 1
    crop_share: float = 1 / 16
    cutout_share: float = 0.0
    color_jitter: float = 0.0

    def plan(self, n_images: int, image_shape: tuple[int, int, int]) -> Plan:
        """Apply the recipe to `n_images` training images of shape (c, h, w).

        Color images are flipped left to right at random; gray ones are not, since they are mostly characters.
        """
        batch_size = max(1, min(self.batch_size, max(16, n_images // 16), n_images))
        steps_per_epoch = n_images // batch_size
        side = min(image_shape[1:])
        n_steps = max(self.epochs * steps_per_epoch, self.min_steps_tiny if side < 16 else self.min_steps)
        return Plan(
            n_steps=n_steps,
            n_widest_steps=round(self.widest_share * n_steps),
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            padding=math.ceil(self.crop_share * side),
            has_flips=image_shape[0] == 3,
            cutout=round(self.cutout_share * side),
            color_jitter=self.color_jitter,
        )


# For 45,000 images of 32×32 on two cores with AVX512-BF16: "default" takes at most 15 minutes; "shipped", which gave
# the weights that come with the package, an hour and a half; "long" about as much. "quick" takes a minute or two, to
# try a search space before time is spent on it: its networks are poor.
RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("default", epochs=10),
        Recipe("long", epochs=60, crop_share=1 / 8),
        Recipe("shipped", epochs=64, widest_share=0.35, crop_share=1 / 8, cutout_share=1 / 4, color_jitter=0.1),
        Recipe("quick", epochs=1, min_steps=100),
    )
}
