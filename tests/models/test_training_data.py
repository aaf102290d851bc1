"""Training data are refused where the arrays do not fit each other."""

import numpy as np
import pytest

from explorer.models.training_data import TrainingData


def data(images: np.ndarray, labels: np.ndarray) -> TrainingData:
    return TrainingData(images, labels, images, labels, 2, (0.0,), (1.0,), "data", "splits")


def test_image_shape_is_that_of_one_image() -> None:
    assert data(np.zeros((3, 1, 8, 9), np.uint8), np.zeros(3, np.int64)).image_shape == (1, 8, 9)


@pytest.mark.parametrize(
    ("shape", "dtype", "n_labels"),
    [((3, 1, 8, 8), np.float32, 3), ((3, 8, 8), np.uint8, 3), ((3, 1, 8, 8), np.uint8, 2), ((0, 1, 8, 8), np.uint8, 0)],
)
def test_arrays_that_are_not_labelled_uint8_images_are_refused(
    shape: tuple[int, ...], dtype: type, n_labels: int
) -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        data(np.zeros(shape, dtype), np.zeros(n_labels, np.int64))
