import pytest

from explorer.deploy.serve.requests import Limits
from explorer.tasks.task import TensorSpec


@pytest.mark.parametrize(
    ("shape", "n_images", "mib"),
    [((3, 32, 32), 256, 6), ((1, 8, 8), 256, 1), ((3, 224, 224), 27, 32), ((16, 8192, 8192), 1, 8193)],
)
def test_limits_let_one_image_pass_and_no_flood(shape, n_images, mib):
    limits = Limits.of_input(TensorSpec("images", "uint8", shape))
    assert limits.examples == n_images
    assert limits.tensor_body_bytes // 2**20 + 1 <= mib + 1
    n_values = n_images * shape[0] * shape[1] * shape[2]
    assert limits.tensor_body_bytes > len("255, ") * n_values + 1_000
