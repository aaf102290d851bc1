"""Intervals against published numbers, exact sums, and their own promise: coverage."""

from __future__ import annotations

import math
from math import comb
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from explorer import intervals


def test_share_wilson_interval_equals_the_published_one():
    """Newcombe 1998, table I: 81 of 263 and 0 of 20."""
    known = intervals.share(81, 263)
    assert (known.low, known.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    none = intervals.share(0, 20)
    assert (none.low, none.high) == (0.0, pytest.approx(0.1611, abs=5e-5))


@given(st.integers(1, 3000), st.data())
def test_share_interval_holds_the_value_and_stays_in_range(n, data):
    made = intervals.share(data.draw(st.integers(0, n)), n)
    assert 0 <= made.low <= made.value <= made.high <= 1
    assert made.n == n


@given(st.integers(1, 400), st.sampled_from([50, 90]))
def test_percentile_ranks_are_the_exact_binomial_ones(n, percent):
    """Samples 1..n, so that an end of the interval is its own rank; the mass is summed with exact integers."""
    made = intervals.percentile(np.arange(1, n + 1), percent)
    if n < intervals.MIN_SAMPLES.get(percent, 1):
        assert made.value is None
        return
    p = percent / 100
    mass = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    low = 0 if made.low is None else int(made.low)
    high = n + 1 if made.high is None else int(made.high)
    assert sum(mass[low:high]) >= 0.95 - 1e-9
    assert sum(mass[:low]) <= 0.025 + 1e-9
    assert sum(mass[high:]) <= 0.025 + 1e-9


@pytest.mark.parametrize(("percent", "needed"), [(90, 64), (95, 130), (99, 662)])
def test_percentile_too_few_samples_is_unknown_and_says_how_many_it_needs(percent, needed):
    made = intervals.percentile(np.ones(needed - 1), percent)
    assert made.value is None
    assert f"needs {needed} queries, and {needed - 1} were timed" in made.why
    assert intervals.percentile(np.ones(needed), percent).value == 1.0


def test_percentile_median_interval_covers_at_its_stated_rate():
    """A/A: 400 seeded samples of a skewed distribution whose median is known."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        made = intervals.percentile(rng.lognormal(size=201), 50)
        covered += made.low <= 1.0 <= made.high
    assert 0.93 <= covered / 400 <= 0.99


def test_mean_interval_covers_at_its_stated_rate():
    rng = np.random.default_rng(2)
    made = [intervals.mean(rng.normal(5, 2, size=200)) for _ in range(400)]
    assert 0.92 <= np.mean([m.low <= 5 <= m.high for m in made]) <= 0.98


def test_mean_one_sample_has_no_interval():
    made = intervals.mean(np.array([3.0]))
    assert (made.value, made.low, made.high, made.n) == (3.0, None, None, 1)


def correlated(rng: np.random.Generator, n: int, memory: float) -> np.ndarray:
    """Normal scores that follow each other like an autoregression of the first order."""
    noise = rng.standard_normal(n) * math.sqrt(1 - memory**2)
    scores = np.empty(n)
    scores[0] = rng.standard_normal()
    for index in range(1, n):
        scores[index] = memory * scores[index - 1] + noise[index]
    return scores


@pytest.mark.parametrize("percent", [50, 90])
def test_percentile_of_samples_that_follow_each_other_still_covers_the_truth(percent):
    rng = np.random.default_rng(3)
    truth = math.exp(0.2 * NormalDist().inv_cdf(percent / 100))
    made = [intervals.percentile(np.exp(0.2 * correlated(rng, 800, 0.8)), percent) for _ in range(200)]
    assert np.mean([m.low <= truth <= m.high for m in made]) >= 0.91


def test_percentile_and_mean_of_alike_neighbors_are_less_certain_than_of_independent_samples():
    rng = np.random.default_rng(4)
    alike = correlated(rng, 2000, 0.9)
    shuffled = rng.permutation(alike)
    for make in (intervals.mean, lambda samples: intervals.percentile(samples, 50)):
        near, far = make(alike), make(shuffled)
        assert near.value == pytest.approx(far.value)
        assert near.high - near.low > 1.8 * (far.high - far.low)


def test_paired_share_difference_forgets_the_images_on_which_both_agree():
    first = np.zeros(1000, dtype=bool)
    first[:900] = True
    second = first.copy()
    second[895:905] = [False] * 5 + [True] * 5
    made = intervals.paired_share_difference(first, second)
    assert made.value == 0.0
    assert made.low < 0 < made.high
    assert made.high - made.low < 0.015  # twice as wide and more if the images were not the same


def test_paired_share_difference_one_sided_changes_exclude_zero():
    first = np.zeros(1000, dtype=bool)
    second = first.copy()
    second[:20] = True
    made = intervals.paired_share_difference(first, second)
    assert made.value == pytest.approx(0.02)
    assert made.low > 0
    mirrored = intervals.paired_share_difference(second, first)
    assert (mirrored.low, mirrored.high) == pytest.approx((-made.high, -made.low))


def test_paired_share_difference_covers_the_truth():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        uniform = rng.random(2000)
        first, second = uniform < 0.90, (uniform < 0.88) | (uniform > 0.97)
        made = intervals.paired_share_difference(first, second)
        hits += made.low <= 0.01 <= made.high
    assert 0.92 <= hits / 400 <= 0.985


@pytest.mark.parametrize("dof", [1, 2, 3, 5, 9, 30, 1000])
def test_student_is_the_quantile(dof):
    assert intervals.student(dof) == pytest.approx(stats.t.ppf(0.975, dof), rel=2e-3)
