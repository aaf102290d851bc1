"""The staged executor against a brute force that handles one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.runtimes.staged import StagedExecutor, exits_taken, leaving
from explorer.tasks.classification_files import confidence

N_CLASSES = 4


def scripted(scores: np.ndarray):
    """Segments whose logits are `scores` [e, n, k]; the features are the images' numbers."""
    last = len(scores) - 1
    return [
        lambda features, e=e: (scores[e][features[:, 0, 0, 0]], *((features,) if e < last else ()))
        for e in range(last + 1)
    ]


def numbered(n: int) -> np.ndarray:
    return np.arange(n).reshape(n, 1, 1, 1)


def slow_softmax_max(row: np.ndarray) -> float:
    exponentials = [float(np.exp(x - max(row))) for x in row]
    return max(exponentials) / sum(exponentials)


@given(st.integers(1, 3), st.integers(1, 12), st.floats(0.3, 1.0), st.integers(0, 10_000))
def test_classify_random_scores_equals_one_image_at_a_time(n_exits, n, threshold, seed):
    scores = np.random.default_rng(seed).normal(scale=2, size=(n_exits, n, N_CLASSES))
    logits, exits = StagedExecutor(scripted(scores), threshold, confidence).classify(numbered(n))
    for image in range(n):
        expected = n_exits - 1
        for e in range(n_exits - 1):
            if threshold < 1.0 and slow_softmax_max(scores[e][image]) >= threshold:
                expected = e
                break
        assert exits[image] == expected
        np.testing.assert_array_equal(logits[image], scores[expected][image])


@given(st.integers(1, 3), st.integers(1, 12), st.floats(0.3, 1.0), st.integers(0, 10_000))
def test_exits_taken_stored_logits_equals_classify(n_exits, n, threshold, seed):
    scores = np.random.default_rng(seed).normal(scale=2, size=(n_exits, n, N_CLASSES))
    executor = StagedExecutor(scripted(scores), threshold, confidence)
    np.testing.assert_array_equal(executor.all_exits(numbered(n)), scores)
    np.testing.assert_array_equal(exits_taken(scores, threshold, confidence), executor.classify(numbered(n))[1])


def test_classify_all_confident_runs_no_later_segment():
    calls = []

    def first(features):
        calls.append("first")
        return np.tile([9.0, 0, 0, 0], (len(features), 1)), features

    def second(features):
        calls.append("second")
        return (np.zeros((len(features), N_CLASSES)),)

    StagedExecutor([first, second], 0.9, confidence).classify(numbered(5))
    assert calls == ["first"]


def test_classify_leaves_the_runtimes_own_buffer_alone():
    buffer = np.zeros((2, N_CLASSES))
    segments = [lambda x: (buffer, x), lambda x: (np.ones((len(x), N_CLASSES)),)]
    StagedExecutor(segments, 0.99, confidence).classify(numbered(2))
    assert not buffer.any()


def test_leaving_threshold_one_keeps_even_the_certain():
    assert not leaving(np.array([[1000.0, 0.0]]), 1.0, confidence).any()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_confidence_large_logits_do_not_overflow(scale):
    assert confidence(np.array([[scale, 0.0, 0.0, 0.0]]))[0] <= 1.0
    assert confidence(np.full((1, 4), scale))[0] == pytest.approx(0.25)
