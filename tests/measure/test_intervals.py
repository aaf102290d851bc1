"""Intervals against published numbers, exact sums, and their own promise: coverage."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.measure import intervals


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
