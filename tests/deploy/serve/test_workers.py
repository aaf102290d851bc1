import pytest

from explorer.deploy.serve.workers import Options
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
