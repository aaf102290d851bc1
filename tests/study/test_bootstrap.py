import numpy as np
import pytest

from explorer.records import Measurement
from explorer.study.bootstrap import bootstrap_rounds, bootstrap_scores, deviation, small_sample_factor

SHARES = (0.0, 1.0)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_deviation_is_that_of_the_interval():
    assert deviation(Measurement(1.0, 1.0 - 1.959964, 1.0 + 1.959964)) == pytest.approx(1.0, rel=1e-6)
    assert deviation(Measurement(1.0)) == 0.0


def test_score_draws_have_the_mean_and_spread_of_a_share(generator):
    hits = (np.arange(1000) < 800).astype(float)
    samples = bootstrap_scores([Measurement(0.8)], [hits], SHARES, generator, 20_000)
    assert samples.mean() == pytest.approx(0.8, abs=1e-3)
    assert samples.std() == pytest.approx((0.8 * 0.2 / 1000) ** 0.5, rel=0.03)


def test_score_draws_are_paired_by_example(generator):
    better = (np.arange(1000) < 800).astype(float)
    worse = better * (np.arange(1000) >= 5)
    samples = bootstrap_scores([Measurement(0.8), Measurement(0.795)], [better, worse], SHARES, generator)
    assert (samples[:, 0] >= samples[:, 1]).all()
    twice = bootstrap_scores([Measurement(0.8)] * 2, [better, better], SHARES, generator)
    assert (twice[:, 0] == twice[:, 1]).all()


def test_score_draws_without_scores_come_from_the_interval_alone(generator):
    hits = (np.arange(100) < 50).astype(float)
    samples = bootstrap_scores(
        [Measurement(0.5), Measurement(0.9, 0.88, 0.92)], [hits, None], SHARES, generator, 20_000
    )
    assert samples[:, 1].std() == pytest.approx(0.0102, rel=0.05)
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.03


def test_score_draws_of_any_numbers_have_the_mean_and_spread_of_their_mean(generator):
    errors = generator.exponential(3.0, 400)
    samples = bootstrap_scores([Measurement(3.0)], [errors], (0.0, 1e9), generator, 20_000)
    assert samples.mean() == pytest.approx(errors.mean(), rel=1e-2)
    assert samples.std() == pytest.approx(errors.std() / 20, rel=0.03)
    shifted = bootstrap_scores([Measurement(3.0)] * 2, [errors, errors + 0.5], (0.0, 1e9), generator)
    assert (shifted[:, 1] - shifted[:, 0]) == pytest.approx(0.5)


def test_score_draws_from_an_interval_stay_within_the_bounds(generator):
    samples = bootstrap_scores([Measurement(0.1, 0.0, 0.5)], [None], (0.0, 1e9), generator)
    assert samples.min() == 0.0


def test_small_sample_factor_vanishes_with_many():
    assert small_sample_factor(5) == pytest.approx(1.118 * 2.776 / 1.96, rel=1e-3)
    assert small_sample_factor(10_000) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("common", [0.0, 5.0])
def test_round_draws_interval_of_a_difference_holds_the_truth_as_often_as_stated(common, generator):
    """Five rounds, with and without noise in common: the 95 % interval of the difference of two equal medians."""
    n_held = 0
    for _ in range(300):
        values = generator.normal(0, common, (5, 1, 1)) + generator.normal(0, 1, (5, 2, 1))
        samples = bootstrap_rounds(values, generator, 500)
        low, high = np.percentile(samples[:, 0] - samples[:, 1], (2.5, 97.5))
        n_held += low <= 0 <= high
    assert 0.92 <= n_held / 300 <= 1.0


def test_round_draws_missing_rounds_are_left_out(generator):
    values = np.array([[[1.0]], [[np.nan]], [[1.0]], [[np.nan]], [[1.0]]])
    assert (bootstrap_rounds(values, generator) == 1.0).all()


def test_round_draws_one_valid_round_has_no_spread(generator):
    values = np.array([[[2.0]], [[np.nan]], [[np.nan]]])
    assert (bootstrap_rounds(values, generator) == 2.0).all()


def test_round_draws_constant_metric_stays(generator):
    values = np.concatenate([generator.normal(1, 1, (5, 2, 1)), np.full((5, 2, 1), 7.0)], axis=2)
    samples = bootstrap_rounds(values, generator)
    assert (samples[:, :, 1] == 7.0).all()
    assert samples[:, :, 0].std() > 0.1
