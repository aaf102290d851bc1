import numpy as np
import pytest

from explorer.records import Measurement
from explorer.study.confirm.confirmed_values import over_rounds


def rounds(values):
    return [Measurement(float(value)) for value in values]


def test_over_rounds_is_the_median_with_the_number_of_rounds():
    found = over_rounds(rounds([1.0, 2.0, 3.0, 2.0, 9.0]))
    assert (found.value, found.n) == (2.0, 5)
    assert found.low < 2.0 < found.high


def test_over_rounds_unknown_ones_are_left_out_and_one_has_no_interval():
    found = over_rounds([Measurement.unknown("64 queries are needed"), Measurement(3.0)])
    assert found == Measurement(3.0, n=1)


def test_over_rounds_all_unknown_says_why():
    assert over_rounds([Measurement.unknown("no clock")] * 3) == Measurement.unknown("no clock")
    assert over_rounds([]) == Measurement.unknown("no round knows it")


@pytest.mark.parametrize("n_rounds", [3, 5, 10])
@pytest.mark.parametrize("draw", ["normal", "exponential", "t"])
def test_over_rounds_interval_holds_the_true_median_as_often_as_stated(n_rounds, draw):
    generator = np.random.default_rng(1)
    truth = {"normal": 0.0, "exponential": np.log(2), "t": 0.0}[draw]
    n_held = 0
    for _ in range(1000):
        values = {
            "normal": lambda: generator.normal(0, 1, n_rounds),
            "exponential": lambda: generator.exponential(1, n_rounds),
            "t": lambda: generator.standard_t(3, n_rounds),
        }[draw]()
        found = over_rounds(rounds(10 + values))
        n_held += found.low <= 10 + truth <= found.high
    assert 0.93 <= n_held / 1000 <= 0.995
