"""Firm decisions: no logits within the shift give another exit or class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from explorer.deploy.decisions import firm
from explorer.runtimes.staged import exits_taken

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5))


def classes(logits, exits):
    return np.take_along_axis(logits, exits[None, :, None], axis=0)[0].argmax(axis=1)


@settings(max_examples=300)
@given(st.data())
def test_firm_decisions_stay_when_logits_move_within_the_shift(data):
    shape = data.draw(SHAPES)
    logits = data.draw(arrays(np.float64, shape, elements=st.floats(-30, 30)))
    shift = data.draw(st.floats(0.0, 3.0))
    threshold = data.draw(st.floats(0.2, 1.0))
    moves = data.draw(arrays(np.float64, shape, elements=st.floats(-1, 1)))
    exits = exits_taken(logits, threshold)
    is_firm = firm(logits, exits, threshold, shift)
    moved = logits + 0.999 * shift * moves
    exits_then = exits_taken(moved, threshold)
    assert (exits_then == exits)[is_firm].all()
    assert (classes(moved, exits_then) == classes(logits, exits))[is_firm].all()


def test_firm_close_classes_are_not():
    logits = np.array([[[1.0, 0.0], [1.0, 0.9]]])
    assert firm(logits, np.zeros(2, dtype=int), 1.0, 0.1).tolist() == [True, False]


@pytest.mark.parametrize("exit_taken", [0, 1])
def test_firm_confidence_at_the_threshold_is_not(exit_taken):
    at_threshold = np.log(9.0)  # the softmax of (x, 0) is 0.9 there
    logits = np.array([[[at_threshold, 0.0]], [[5.0, 0.0]]])
    assert firm(logits, np.array([exit_taken]), 0.9, 0.01).tolist() == [False]


def test_firm_clear_confidence_is():
    logits = np.array([[[9.0, 0.0], [0.1, 0.0]], [[9.0, 0.0], [9.0, 0.0]]])
    exits = exits_taken(logits, 0.9)
    assert exits.tolist() == [0, 1]
    assert firm(logits, exits, 0.9, 0.01).all()


def test_firm_single_class_always_is():
    assert firm(np.zeros((2, 3, 1)), np.zeros(3, dtype=int), 0.9, 10.0).all()
