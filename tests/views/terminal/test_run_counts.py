from dataclasses import replace

import pytest

from explorer.records import Stage
from explorer.study.front import front_view
from explorer.views.terminal.run_counts import Best, RunCounts


def grown(makers, result, clock, seconds=2.0):
    """A tally that watched the whole study, trial by trial."""
    tally = RunCounts(result.space, clock)
    for index in range(len(result.trials)):
        tally.start_trial()
        clock.now += seconds
        reference = result.reference_point if index else None
        tally.end_trial(replace(result, trials=result.trials[: index + 1], reference_point=reference))
    return tally


def test_tally_whole_study_agrees_with_the_summary(makers, clock):
    result = makers.make_seeded_result(40)
    info, summary = grown(makers, result, clock), front_view(result)
    assert info.states == summary.counts
    assert info.n_front == len(summary.entries)
    assert info.hypervolume == pytest.approx(summary.hypervolume)
    assert info.hypervolume_ratio == pytest.approx(summary.hypervolume_ratio)


def test_tally_resumed_study_counts_what_was_there(makers, clock):
    result = makers.make_seeded_result(40)
    tally = RunCounts(result.space, clock)
    tally.start_trial()
    tally.end_trial(result)
    watched = grown(makers, result, clock)
    for name in ("n_done", "n_cached", "states", "bests", "failures", "n_front", "hypervolume", "hypervolume_ratio"):
        assert getattr(tally, name) == getattr(watched, name)


def test_tally_bests_are_feasible_and_beside_the_baseline(makers, clock):
    info = grown(makers, makers.make_small_result(), clock)
    assert tuple(info.bests.values()) == (
        Best("accuracy", 0.92, 0, 0.92),
        Best("latency_ms", 0.5, 2, 3.0),
        Best("cost_usd_per_million", 0.01, 2, 0.06),
    )


def test_tally_failures_are_the_last_three_newest_first(makers, clock):
    result = makers.make_result([makers.make_trial(n, reason=f"reason {n}") for n in range(5)])
    info = grown(makers, result, clock)
    assert tuple(info.failures) == ((4, "reason 4"), (3, "reason 3"), (2, "reason 2"))
    assert (info.hypervolume, info.hypervolume_ratio, info.n_front) == (None, None, 0)


def test_tally_cached_counts_trials_for_which_nothing_had_to_be_built(makers, clock):
    """As the stages are named and marked by builder and probe: storing and measuring is always done anew."""
    fresh = (Stage("store", 0.1), Stage("measure", 3.0))
    stages = (
        (Stage("network", 0.1, True), Stage("export", 0.0, True), *fresh),
        (Stage("network", 0.1, True), Stage("export", 1.0), *fresh),
        (Stage("width", 0.1), Stage("export", 0.0, True), *fresh),
        fresh,
        (),
    )
    trials = [makers.make_trial(n, {"accuracy": 0.5}, stages=chosen) for n, chosen in enumerate(stages)]
    assert grown(makers, makers.make_result(trials), clock).n_cached == 1


def test_tally_time_left_follows_the_pace(makers, clock):
    result = makers.make_seeded_result(10)
    result = replace(result, space=makers.make_space(n_trials=30))
    tally = grown(makers, result, clock, seconds=3.0)
    assert tally.seconds_left == pytest.approx(60.0)
    clock.now += 10.0
    assert tally.seconds_left == pytest.approx(50.0)


def test_tally_time_left_never_beyond_the_timeout(makers, clock):
    result = replace(makers.make_seeded_result(10), space=makers.make_space(n_trials=30, timeout_s=40.0))
    assert grown(makers, result, clock, seconds=3.0).seconds_left == pytest.approx(10.0)


def test_tally_before_the_first_trial_knows_no_time_left(makers, clock):
    assert RunCounts(makers.make_space(), clock).seconds_left is None


def test_tally_of_a_space_with_fewer_variants_than_trials_counts_these(makers, clock):
    few = {"width": (0.5, 1.0), "pruning_ratio": (0.0,), "exit_threshold": (1.0,)}  # of 5 executions each
    assert RunCounts(makers.make_space(n_trials=60, **few), clock).n_trials == 10
