"""How long a stage will still take."""

from dataclasses import replace

import pytest

from explorer.records import Progress
from explorer.views.terminal.run_counts import StageEta, TrialEta


def test_pace_counts_what_this_run_did_not_what_an_earlier_one_had_done(clock):
    pace = StageEta(clock)
    assert pace.seconds_left(Progress("train", 500, 1000)) is None
    clock.now += 10.0
    assert pace.seconds_left(Progress("train", 600, 1000)) == 40.0


def test_pace_of_a_new_stage_begins_anew(clock):
    pace = StageEta(clock)
    pace.seconds_left(Progress("train", 0, 10))
    clock.now += 100.0
    assert pace.seconds_left(Progress("export", 0, 10)) is None
    clock.now += 5.0
    assert pace.seconds_left(Progress("export", 5, 10)) == 5.0


def test_pace_without_an_end_or_a_measure_is_unknown(clock):
    pace = StageEta(clock)
    for done in (0, 0.001):
        clock.now += 10.0
        assert pace.seconds_left(Progress("wait", done, 1000)) is None
    assert pace.seconds_left(Progress("wait", 5, None)) is None


def seconds_left_by_records(makers, clock, since, **search):
    """The time left of a study of 10 trials, three of which were finished 1 s after they began, at 100, 200 and 300."""
    times = [(100.0, 101.0), (200.0, 201.0), (300.0, 301.0)]
    made = [makers.make_trial(n, {"accuracy": 0.5}) for n in range(3)]
    trials = [replace(one, started=begin, finished=end) for one, (begin, end) in zip(made, times, strict=True)]
    space = makers.make_space(**{"n_trials": 10, **search})
    clock.now = 310.0
    return TrialEta.of_run(space, since, trials, clock).seconds_left(3)


def test_pace_of_a_run_elsewhere_counts_its_own_trials_only(makers, clock):
    assert seconds_left_by_records(makers, clock, 150.0) == pytest.approx((301.0 - 200.0) / 2 * 7 - 9.0)
    assert seconds_left_by_records(makers, clock, 50.0) == pytest.approx((301.0 - 100.0) / 3 * 7 - 9.0)


def test_pace_of_a_space_with_fewer_variants_than_trials_ends_with_them(makers, clock):
    few = {"width": (0.5, 1.0), "pruning_ratio": (0.0,), "exit_threshold": (1.0,)}  # of 5 executions each
    left = seconds_left_by_records(makers, clock, 50.0, **{**few, "n_trials": 60})
    assert left == pytest.approx((301.0 - 100.0) / 3 * 7 - 9.0)


def test_pace_of_a_run_elsewhere_that_has_finished_no_trial_is_unknown(makers, clock):
    assert seconds_left_by_records(makers, clock, 305.0) is None
    space = makers.make_space(n_trials=10)
    assert TrialEta.of_run(space, 0.0, (), clock).seconds_left(0) is None


def test_pace_of_a_run_elsewhere_ends_with_its_time(makers, clock):
    assert seconds_left_by_records(makers, clock, 150.0, timeout_s=200.0) == pytest.approx(40.0)
