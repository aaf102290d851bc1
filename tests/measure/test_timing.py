"""Timing on a scripted device: when it stops, what it records, and how long it takes on a core of two states."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from scripted_device import LEVEL_NS, MS, ScriptedDevice, spells

from explorer.measure.timing import FULL, QUARTER, Budget


def noisy(sd: float, seed: int = 0):
    noise = np.random.default_rng(seed).normal(1.0, sd, 1_000_000)
    return lambda n: float(max(0.2, noise[n]))


def test_run_steady_device_stops_as_soon_as_the_minimum_is_reached():
    device = ScriptedDevice()
    timer = device.timer()
    assert timer.run(FULL)
    timed = timer.trace()
    assert len(timed.raw_ns) >= 200
    assert 1.0e9 <= timed.raw_ns.sum() <= 1.2e9
    assert set(timed.raw_ns) == {MS}


def test_run_fast_queries_time_for_the_minimum_of_seconds():
    timer = ScriptedDevice(lambda n: 0.01).timer()
    assert timer.run(FULL)
    assert timer.trace().raw_ns.sum() >= 1e9


def test_run_slow_queries_time_the_minimum_number_of_them():
    timer = ScriptedDevice(lambda n: 10.0).timer()
    assert timer.run(FULL)
    assert 200 <= len(timer.trace().raw_ns) <= 220


def test_run_queries_too_slow_for_the_budget_end_at_its_limit_and_say_so():
    device = ScriptedDevice(lambda n: 500.0)
    timer = device.timer()
    assert not timer.run(FULL)
    assert FULL.limit_s * 1e9 <= device.wall_ns <= (FULL.limit_s + 3) * 1e9
    assert len(timer.trace().raw_ns) < 50


@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_run_quiet_machine_takes_no_longer_than_the_minimum(sd):
    device = ScriptedDevice(noisy(sd))
    assert device.timer().run(FULL, LEVEL_NS)
    assert device.wall_ns <= 1.5e9
    device = ScriptedDevice(noisy(sd))
    assert device.timer().run(QUARTER, LEVEL_NS)
    assert device.wall_ns <= 0.5e9


@pytest.mark.parametrize("quiet_ratio", [0.2, 0.4])
def test_run_noisy_machine_takes_as_long_as_it_needs_for_as_many_quiet_queries(quiet_ratio):
    for seed in range(4):
        device = ScriptedDevice(noisy(0.05), spells(quiet_ratio, seed))
        timer = device.timer()
        assert timer.run(FULL, LEVEL_NS)
        found = timer.judged(LEVEL_NS)
        assert found.counts.sum() >= FULL.min_queries
        assert timer.trace().raw_ns[found.counts].sum() >= FULL.min_s * 1e9
        assert found.interval_ratio <= FULL.within_ratio
        assert device.wall_ns <= FULL.limit_s * 1e9


def test_run_noisy_queries_go_on_until_the_interval_is_narrow():
    quiet, noisy_device = ScriptedDevice(noisy(0.02)), ScriptedDevice(noisy(0.30))
    timers = [quiet.timer(), noisy_device.timer()]
    assert all(timer.run(Budget(50, 0.05, 60.0, 60.0)) for timer in timers)
    short, long = (timer.judged(None) for timer in timers)
    assert short.interval_ratio <= 0.01
    assert long.interval_ratio <= 0.01
    assert len(long.latency_ns) > 2 * len(short.latency_ns)


def test_run_hopeless_device_ends_before_the_limit_and_says_so():
    times_ms = np.exp(np.random.default_rng(0).standard_normal(100_000))
    device = ScriptedDevice(lambda n: float(times_ms[n]))
    timer = device.timer()
    assert not timer.run(FULL)
    assert timer.judged(None).interval_ratio > FULL.within_ratio
    assert timer.trace().raw_ns.sum() >= FULL.min_s * 1e9
    assert device.wall_ns < 0.6 * FULL.quiet_s * 1e9


def test_run_again_goes_on_where_it_was():
    device = ScriptedDevice(lambda n: 4.0)
    seen = []
    timer = device.timer(record=lambda n, made: seen.append((n, made)))
    timer.run(QUARTER)
    n_before = len(timer.trace().raw_ns)
    timer.run(FULL)
    timed = timer.trace()
    assert len(timed.raw_ns) >= 200 > n_before >= 50
    assert [n for n, _ in seen] == list(range(len(timed.raw_ns)))
    assert [made for n, made in seen] == [n % 64 for n, _ in seen]
    assert set(np.diff(timed.slice)) == {0, 1, 2}  # between the runs there is none
    assert np.isfinite(timer.judged(None).latency_ns).all()


def test_run_every_slice_of_the_candidate_lies_between_two_of_the_anchor():
    timer = ScriptedDevice().timer()
    timer.run(FULL)
    timed = timer.trace()
    assert set(timed.anchor_slice) == set(range(int(timed.slice[-1]) + 2))
    assert np.bincount(timed.anchor_slice).min() >= 3
    assert timed.anchor_medians_ns == pytest.approx(np.tile(LEVEL_NS, (int(timed.slice[-1]) + 2, 1)))
    assert timed.anchor_ns.sum() <= 0.25 * timed.raw_ns.sum()


def test_run_core_that_another_process_has_all_the_time_is_not_waited_for():
    device = ScriptedDevice(processor_share=0.6)
    timer = device.timer()
    assert not timer.run(FULL, LEVEL_NS)
    assert FULL.quiet_s <= device.wall_ns / 1e9 < FULL.quiet_s + 0.6
    found = timer.judged(LEVEL_NS)
    assert (found.is_shared, found.n_quiet) == (True, 0)
    assert found.processor_share == pytest.approx(0.6, abs=0.01)


def test_run_garbage_collector_rests_and_is_back_afterwards():
    states = []
    timer = ScriptedDevice().timer(record=lambda n, made: states.append(gc.isenabled()))
    timer.run(QUARTER)
    assert not any(states)
    assert gc.isenabled()


def test_longest_stop_and_share_say_what_the_clocks_saw():
    steady = ScriptedDevice().timer()
    steady.run(QUARTER)
    stopped = ScriptedDevice(stops={40: 300.0}).timer()
    stopped.run(QUARTER)
    shared = ScriptedDevice(processor_share=0.5).timer()
    shared.run(QUARTER)
    assert steady.trace().longest_stop_s == 0.0
    assert stopped.trace().longest_stop_s == pytest.approx(0.3)
    assert steady.judged(None).processor_share == 1.0
    assert shared.judged(None).processor_share == pytest.approx(0.5, abs=0.01)


def test_warm_up_ends_when_three_slices_agree():
    slowness = lambda t: 1.0 + math.exp(-t / 0.1)  # noqa: E731
    device = ScriptedDevice(clock=slowness)
    assert device.timer().warm_up()
    assert device.wall_ns < 2e9
    assert slowness(device.wall_ns / 1e9) < 1.25


def test_warm_up_that_never_settles_ends_at_its_limit_and_says_so():
    device = ScriptedDevice(clock=lambda t: 1.0 + 5.0 * t)
    assert not device.timer().warm_up()
    assert device.wall_ns >= 2e9


def test_warm_up_asks_the_same_queries_in_each_slice():
    """Different examples take different times where some leave early: slices of the same ones can be compared."""
    device = ScriptedDevice()
    device.timer(repeat_after=1000).warm_up()
    size = 20
    assert device.asked[:size] == device.asked[size : 2 * size] == list(range(size))
