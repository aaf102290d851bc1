"""Training data for which networks of the user's own are loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from explorer.models.base import TrainingData


@pytest.fixture(scope="session")
def some_data() -> Callable[..., TrainingData]:
    """Return black images of four classes."""

    def make(
        shape: tuple[int, int, int] = (1, 6, 6), mean: Sequence[float] = (100.0,), std: Sequence[float] = (50.0,)
    ) -> TrainingData:
        images, labels = np.zeros((4, *shape), np.uint8), np.arange(4)
        return TrainingData(images, labels, images, labels, 4, tuple(mean), tuple(std), "data", "splits")

    return make
