"""The outputs of an artifact, and the answers that differ from them."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.measure.outputs import n_different, outputs_of
from explorer.runtimes.staged import StagedExecutor
from explorer.tasks.classification_files import confidence

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (120, 1, 2, 3)).astype(np.uint8)
WEIGHTS = RNG.normal(size=(6, 4)).astype(np.float32)
EARLY = RNG.normal(size=(6, 4)).astype(np.float32)


def first(images):
    pixels = images.reshape(len(images), -1).astype(np.float32) / 64
    return pixels @ EARLY, pixels


def last(pixels):
    return (pixels @ WEIGHTS,)


EXECUTOR = StagedExecutor([first, last], 0.9, confidence)


@pytest.fixture(scope="module")
def expected():
    return outputs_of(EXECUTOR, IMAGES, 1, True, 2, None)


def test_outputs_of_gives_what_classify_gives(expected):
    logits, exits = EXECUTOR.classify(IMAGES)
    assert np.array_equal(expected.exits, exits)
    assert 0 < exits.sum() < len(exits)
    assert np.array_equal(expected.answers, logits)
    assert np.array_equal(outputs_of(EXECUTOR, IMAGES, 1, True, 1, expected.outputs).exits, exits)


def test_outputs_of_logits_that_depend_on_the_batch_keeps_to_the_batch():
    sizes = []

    def centered(images):
        sizes.append(len(images))
        return (last(first(images)[1])[0],)

    made = outputs_of(StagedExecutor([centered], 1.0, confidence), IMAGES, 7, False, 1, None)
    assert set(sizes[2:]) == {7, 120 % 7}
    assert made.outputs.shape == (1, 120, 4)


def test_n_different_same_answers_are_none(expected):
    which = np.array([5, 7, 7, 100])
    logits, exits = EXECUTOR.classify(IMAGES[which])
    assert n_different(logits, exits, which, expected, EXECUTOR) == 0


def test_n_different_rounding_is_no_difference(expected):
    which = np.arange(50)
    logits, exits = EXECUTOR.classify(IMAGES[which])
    assert n_different(logits * (1 + 1e-4), exits, which, expected, EXECUTOR) == 0


def test_n_different_other_logits_are_counted(expected):
    which = np.arange(50)
    logits, exits = EXECUTOR.classify(IMAGES[which])
    changed = logits.copy()
    changed[3] += 1.0
    changed[9] = np.nan
    assert n_different(changed, exits, which, expected, EXECUTOR) == 2


def test_n_different_exit_that_confidence_does_not_explain_is_counted(expected):
    which = np.arange(50)
    logits = expected.outputs[1, which]  # as if no image had left early
    n_early = int((expected.exits[which] == 0).sum())
    assert n_early
    assert n_different(logits, np.ones(50, dtype=np.int64), which, expected, EXECUTOR) == n_early


def test_n_different_exit_at_the_threshold_may_be_either(expected):
    image = int(np.flatnonzero(expected.exits == 0)[0])
    threshold = float(confidence(expected.outputs[0, image])) - 1e-4
    logits = expected.outputs[1, [image]]
    executor = StagedExecutor(EXECUTOR.segments, threshold, confidence)
    assert n_different(logits, np.array([1]), np.array([image]), expected, executor) == 0
