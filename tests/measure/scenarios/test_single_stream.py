"""Every answer that was taken while timing is compared with the accuracy pass, however late it came."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.measure.outputs import Outputs
from explorer.measure.scenarios.single_stream import SingleStreamLoad
from explorer.measure.timing import Budget

QUERY_IMAGES = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
BUDGET = Budget(min_queries=20, min_s=0.0, quiet_s=2.0, limit_s=2.0, within_ratio=1e-9)
"""Never narrow enough: several windows are timed before that is plain."""


class Device:
    """Recognizes whether an input's number is odd; one that changes does so after two thousand queries."""

    threshold, confidence = 1.0, None

    def __init__(self, is_changing: bool) -> None:
        self._is_changing, self._n_asked = is_changing, 0

    def classify(self, inputs):
        self._n_asked += 1
        is_other = self._is_changing and self._n_asked > 2000
        logits = np.stack([inputs.ravel() % 2, 1.0 - inputs.ravel() % 2], axis=1).astype(np.float32)
        return logits + 5.0 * is_other, np.zeros(len(inputs), np.int64)


def compared(is_changing: bool, batch: int) -> dict[str, int]:
    logits, exits = Device(False).classify(QUERY_IMAGES)
    queries = SingleStreamLoad(Device(is_changing), QUERY_IMAGES, batch)
    queries.run(BUDGET)
    return queries.compared(Outputs(logits[None], exits, logits))


@pytest.mark.parametrize("batch", [1, 2])
def test_answers_that_stay_the_same_differ_nowhere(batch):
    found = compared(False, batch)
    assert found["n_answers"] >= batch * BUDGET.min_queries
    assert found["n_different"] == 0


@pytest.mark.parametrize("batch", [1, 2])
def test_answers_that_change_after_every_image_had_its_turn_are_found(batch):
    found = compared(True, batch)
    assert 0 < found["n_different"] < found["n_answers"]
