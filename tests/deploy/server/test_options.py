import pytest

from explorer.deploy.server.options import Limits, Options
from explorer.errors import UsageError


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": 0}, "--workers 0: expected a number from 1 to 256"),
        ({"workers": 257}, "--workers 257"),
        ({"queue": 0}, "--queue 0: expected a number from 1 to 100000"),
        ({"max_batch": 0}, "--max-batch 0: expected a number from 1 to 256"),
        ({"max_batch": -4}, "--max-batch -4"),
        ({"max_delay_ms": -1.0}, "--max-delay-ms -1: expected milliseconds from 0 to 10000"),
        ({"max_delay_ms": float("nan")}, "--max-delay-ms nan"),
        ({"max_delay_ms": float("inf")}, "--max-delay-ms inf"),
    ],
)
def test_options_that_cannot_be_are_refused_by_their_flag(changes, words):
    with pytest.raises(UsageError, match=words):
        Options(**changes)


@pytest.mark.parametrize(
    ("shape", "n_images", "mib"),
    [((3, 32, 32), 256, 6), ((1, 8, 8), 256, 1), ((3, 224, 224), 27, 32), ((16, 8192, 8192), 1, 8193)],
)
def test_limits_let_one_image_pass_and_no_flood(shape, n_images, mib):
    limits = Limits.of_input(shape)
    assert limits.images == n_images
    assert limits.tensor_body_bytes // 2**20 + 1 <= mib + 1
    n_values = n_images * shape[0] * shape[1] * shape[2]
    assert limits.tensor_body_bytes > len("255, ") * n_values + 1_000
