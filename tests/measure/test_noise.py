"""The noise floor of this very machine, and its arithmetic."""

from __future__ import annotations

import os

import pytest

from explorer.measure.noise import difference_ratio, noise_floor, same_work_sentence


def test_noise_floor_real_machine_gives_sound_ratios_and_leaves_the_process_where_it_was():
    before = os.sched_getaffinity(0)
    made = noise_floor()
    assert os.sched_getaffinity(0) == before
    assert made.n >= 6 * 20
    assert made.median_ms > 0
    assert made.p99_ratio >= 1
    assert 0 <= made.aa_ratio < 2
    assert 0 <= made.aa_raw_ratio < 2


def test_difference_ratio_is_the_median_over_pairs():
    assert difference_ratio([1.0, 1.0, 1.0]) == 0.0
    assert difference_ratio([0.95, 1.05]) == pytest.approx(0.1)
    assert difference_ratio([1.0, 1.0, 3.0]) == pytest.approx(1.0)


def test_same_work_sentence_unsteady_machine_is_called_so():
    assert same_work_sentence(0.004, 0.02) == (
        "the same work measured twice in one process (A/A) differs by 0.4%, uncorrected by 2.0%"
    )
    assert "other work disturbs it" in same_work_sentence(0.06, 0.2)
