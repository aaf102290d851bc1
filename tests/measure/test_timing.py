"""Timing on a scripted device: when it stops, what it keeps, and what the anchor takes out."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from scripted_device import MS, ScriptedDevice

from explorer.measure.drift_correction import Reference, corrected, dispersion, own_reference
from explorer.measure.timing import FULL, QUARTER, Budget, interval_ratio


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
    device = ScriptedDevice(lambda n: 0.01)
    timer = device.timer()
    assert timer.run(FULL)
    assert timer.trace().raw_ns.sum() >= 1e9


def test_run_slow_queries_time_the_minimum_number_of_them():
    device = ScriptedDevice(lambda n: 10.0)
    timer = device.timer()
    assert timer.run(FULL)
    assert 200 <= len(timer.trace().raw_ns) <= 210


def test_run_queries_too_slow_for_the_budget_end_at_its_limit_and_say_so():
    device = ScriptedDevice(lambda n: 500.0)
    timer = device.timer()
    assert not timer.run(FULL)
    assert FULL.limit_s * 1e9 <= device.wall_ns <= (FULL.limit_s + 3) * 1e9
    assert len(timer.trace().raw_ns) < 20


def test_run_noisy_device_goes_on_until_the_interval_is_narrow():
    quiet, noisy_device = ScriptedDevice(noisy(0.02)), ScriptedDevice(noisy(0.30))
    timers = [quiet.timer(), noisy_device.timer()]
    assert all(timer.run(Budget(50, 0.05, 60.0)) for timer in timers)
    short, long = (timer.trace() for timer in timers)
    assert interval_ratio(short) <= 0.015
    assert interval_ratio(long) <= 0.015
    assert len(long.raw_ns) > 2 * len(short.raw_ns)


def test_run_hopeless_device_ends_before_the_limit_and_says_so():
    times_ms = np.exp(np.random.default_rng(0).standard_normal(100_000))
    device = ScriptedDevice(lambda n: float(times_ms[n]))
    timer = device.timer()
    assert not timer.run(FULL)
    assert interval_ratio(timer.trace()) > 0.015
    assert timer.trace().raw_ns.sum() >= FULL.min_s * 1e9
    assert device.wall_ns < 0.6 * FULL.limit_s * 1e9


def test_run_again_goes_on_where_it_was():
    device = ScriptedDevice(lambda n: 4.0)
    kept = []
    timer = device.timer(record=lambda n, made: kept.append((n, made)))
    timer.run(QUARTER)
    n_before = len(timer.trace().raw_ns)
    timer.run(FULL)
    timed = timer.trace()
    assert len(timed.raw_ns) >= 200 > n_before >= 50
    assert [n for n, _ in kept] == list(range(len(timed.raw_ns)))
    assert [made for n, made in kept] == [n % 64 for n, _ in kept]
    assert np.all(np.diff(timed.window) >= 0)
    assert np.isfinite(corrected(timed, None).latency_ns).all()


def test_run_every_window_of_the_candidate_lies_between_two_of_the_anchor():
    timer = ScriptedDevice().timer()
    timer.run(FULL)
    timed = timer.trace()
    assert set(timed.anchor_window) == set(range(int(timed.window[-1]) + 2))
    counts = np.bincount(timed.anchor_window)
    assert counts.min() >= 3


def test_run_slow_anchor_takes_a_bounded_share_of_the_time():
    device = ScriptedDevice(anchor_ms=40.0)
    timer = device.timer()
    timer.run(FULL)
    timed = timer.trace()
    assert timed.anchor_ns.sum() <= 0.5 * timed.raw_ns.sum()


def test_run_garbage_collector_rests_and_is_back_afterwards():
    states = []
    device = ScriptedDevice()
    timer = device.timer(record=lambda n, made: states.append(gc.isenabled()))
    timer.run(QUARTER)
    assert not any(states)
    assert gc.isenabled()


def test_corrected_machine_that_slows_down_gives_the_times_of_the_steady_one():
    """The machine is half as slow again in turns of 0.3 s; anchor and candidate feel it alike."""
    device = ScriptedDevice(noisy(0.01), slowness=lambda t: 1.5 if int(t / 0.3) % 2 else 1.0)
    timer = device.timer()
    timer.run(FULL)
    timed = timer.trace()
    raw = timed.raw_ns / MS
    made = corrected(timed, Reference(0.5 * MS, 0.1 * MS)).latency_ns / MS
    assert np.median(made) == pytest.approx(1.0, abs=0.01)
    assert np.mean(made) == pytest.approx(1.0, abs=0.03)
    assert np.mean(raw) > 1.15
    assert dispersion(timed) > 0.1


@pytest.mark.parametrize("sensitivity", [0.0, 0.5, 1.0])
def test_corrected_contention_is_taken_out_as_far_as_the_candidate_feels_it(sensitivity):
    """Others contend for the memory in turns of 0.2 s: the anchor takes a third longer, the pulse feels nothing."""
    device = ScriptedDevice(
        noisy(0.01), contention=lambda t: 1.33 if int(t / 0.2) % 2 else 1.0, sensitivity=sensitivity
    )
    timer = device.timer()
    timer.run(FULL)
    made = corrected(timer.trace(), Reference(0.5 * MS, 0.1 * MS))
    assert made.sensitivity == pytest.approx(sensitivity, abs=0.1)
    # up to 8 % of the anchor's distance is where its memory lies, and says nothing
    assert np.mean(made.latency_ns / MS) == pytest.approx(1.0, abs=0.02 + 0.08 * sensitivity)


def test_corrected_anchor_that_differs_by_layout_alone_changes_nothing():
    """This process's anchor is 6 % slower than the reference's, whatever the machine does."""
    device = ScriptedDevice(noisy(0.01), contention=lambda t: 1.06, sensitivity=0.0)
    timer = device.timer()
    timer.run(FULL)
    timed = timer.trace()
    made = corrected(timed, Reference(0.5 * MS, 0.1 * MS))
    assert np.median(made.latency_ns) == pytest.approx(np.median(timed.raw_ns), rel=0.002)


def test_corrected_candidate_that_feels_nothing_is_left_alone_while_the_anchor_suffers_throughout():
    device = ScriptedDevice(noisy(0.01), contention=lambda t: 1.2 + 0.02 * math.sin(40 * t))
    timer = device.timer()
    timer.run(FULL)
    made = corrected(timer.trace(), Reference(0.5 * MS, 0.1 * MS))
    assert np.median(made.latency_ns / MS) == pytest.approx(1.0, abs=0.01)


def test_corrected_one_interrupted_window_does_not_decide_the_sensitivity():
    device = ScriptedDevice(
        noisy(0.01), contention=lambda t: 1.5 if 0.5 < t < 0.52 else 1.0, stops=dict.fromkeys(range(300, 320), 5.0)
    )
    timer = device.timer()
    timer.run(FULL)
    assert corrected(timer.trace(), None).sensitivity < 0.2


def test_corrected_without_an_anchor_follows_the_pulse_alone():
    timer = ScriptedDevice(slowness=lambda t: 2.0, contention=lambda t: 3.0).timer(has_anchor=False)
    timer.run(QUARTER)
    timed = timer.trace()
    assert not len(timed.anchor_ns)
    assert np.median(corrected(timed, Reference(None, 0.1 * MS)).latency_ns) == pytest.approx(MS)
    assert dispersion(timed) == 0.0


def test_corrected_relates_to_the_reference():
    timer = ScriptedDevice(slowness=lambda t: 2.0).timer()
    timer.run(QUARTER)
    timed = timer.trace()
    assert own_reference(timed) == Reference(MS, 0.2 * MS)
    assert np.median(corrected(timed, Reference(0.5 * MS, 0.1 * MS)).latency_ns) == pytest.approx(MS)
    assert np.median(corrected(timed, None).latency_ns) == pytest.approx(2 * MS)


def test_longest_stop_and_share_say_what_the_clocks_saw():
    steady = ScriptedDevice().timer()
    steady.run(QUARTER)
    stopped = ScriptedDevice(stops={40: 300.0}).timer()
    stopped.run(QUARTER)
    shared = ScriptedDevice(processor_share=0.5).timer()
    shared.run(QUARTER)
    assert steady.trace().longest_stop_s == 0.0
    assert stopped.trace().longest_stop_s == pytest.approx(0.3)
    assert steady.trace().processor_share == 1.0
    assert shared.trace().processor_share == pytest.approx(0.5, abs=0.01)


def test_warm_up_ends_when_three_windows_agree():
    device = ScriptedDevice(slowness=lambda t: 1.0 + math.exp(-t / 0.1))
    timer = device.timer()
    assert timer.warm_up()
    assert device.wall_ns < 2e9
    assert device._slowness(device.wall_ns / 1e9) < 1.25


def test_warm_up_that_never_settles_ends_at_its_limit_and_says_so():
    device = ScriptedDevice(slowness=lambda t: 1.0 + 5.0 * t)
    assert not device.timer().warm_up()
    assert device.wall_ns >= 2e9


def test_warm_up_asks_the_same_queries_in_each_window():
    """Different images take different times where some leave early: windows of the same ones can be compared."""
    device = ScriptedDevice()
    device.timer(repeat_after=1000).warm_up()
    size = 20
    assert device.asked[:size] == device.asked[size : 2 * size] == list(range(size))
