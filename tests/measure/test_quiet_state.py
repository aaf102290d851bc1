"""The quiet state on a scripted device of two states: what counts, what it gives, what is said when nothing does."""

from __future__ import annotations

import numpy as np
import pytest
from scripted_device import LEVEL_NS, MS, ScriptedDevice, spells

from explorer import intervals
from explorer.measure.quiet_state import FEWEST, Judged, for_later, judged, lower_mode_ns
from explorer.measure.timing import FULL, Budget
from explorer.records import Measurement


def noisy(sd: float, seed: int = 0):
    noise = np.random.default_rng(seed).normal(1.0, sd, 1_000_000)
    return lambda n: float(max(0.2, noise[n]))


def measured(device: ScriptedDevice, budget: Budget = FULL, level_ns=LEVEL_NS) -> tuple[Judged, bool]:
    timer = device.timer()
    is_narrow = timer.run(budget, level_ns)
    return judged(timer.trace(), LEVEL_NS if level_ns is None else level_ns), is_narrow


def median_ms(found: Judged) -> Measurement:
    return for_later(intervals.percentile(found.latency_ns[found.counts] / MS, 50), found)


@pytest.mark.parametrize("sensitivity", [0.3, 1.0, 1.4])
@pytest.mark.parametrize("quiet_ratio", [0.25, 0.5, 1.0])
def test_judged_value_is_that_of_the_quiet_state_whatever_the_variant_feels(quiet_ratio, sensitivity):
    """int8 slows by 1.5 where float32 slows by 1.35: the slow state is left out, and not divided out."""
    for seed in range(3):
        device = ScriptedDevice(noisy(0.05, seed), spells(quiet_ratio, seed), sensitivity)
        found, is_narrow = measured(device)
        assert is_narrow
        assert found.excess == 0.0
        assert median_ms(found).value == pytest.approx(1.0, rel=0.02)


def test_judged_intervals_hold_what_a_later_process_finds():
    """Two processes on one machine: each begins in another spell, and has its own layout of the memory."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(30):
        layout = float(np.exp(rng.normal(0.0, 0.005)))
        noise = noisy(0.1, seed)
        device = ScriptedDevice(lambda n, noise=noise, layout=layout: layout * noise(n), spells(0.4, seed), 1.3)
        found.append(median_ms(measured(device)[0]))
    holds = [one.low <= other.value <= one.high for one in found for other in found if one is not other]
    assert np.mean(holds) >= 0.93
    assert np.median([one.high - one.low for one in found]) < 0.08


def test_judged_machine_that_is_never_quiet_says_so_and_widens():
    """The level is known from another time: the value is corrected, and the interval says how well it is known."""
    for sensitivity in (0.6, 1.0, 1.4):
        device = ScriptedDevice(noisy(0.05), lambda t: 1.35, sensitivity)
        found, is_narrow = measured(device)
        assert not is_narrow
        assert found.n_quiet == 0
        assert found.excess == pytest.approx(0.35, abs=0.01)
        assert found.interval_ratio == float("inf")
        stated = median_ms(found)
        assert stated.high - stated.low > 0.3 * stated.value
        assert stated.low < 1.0 < stated.high
        assert FULL.limit_s <= device.wall_ns / 1e9 < FULL.limit_s + 0.1


def test_judged_machine_that_was_never_quiet_before_takes_its_lowest_state():
    device = ScriptedDevice(noisy(0.01), lambda t: 1.35)
    timer = device.timer()
    assert timer.run(FULL, None)
    found = timer.judged(None)
    assert found.level_ns == pytest.approx(1.35 * LEVEL_NS, rel=1e-3)
    # ... until another trial shows that there is a lower one: it is judged again from its slices.
    again = judged(timer.trace(), LEVEL_NS)
    assert again.n_quiet == 0
    assert again.excess == pytest.approx(0.35, abs=0.01)


def test_judged_clock_that_varies_within_the_quiet_state_is_taken_out():
    device = ScriptedDevice(clock=lambda t: 1.0 + 0.04 * (int(t / 0.4) % 2))
    found, _ = measured(device)
    assert found.n_quiet == len(found.slowness)
    assert found.latency_ns == pytest.approx(MS, rel=0.03)
    assert median_ms(found).value == pytest.approx(1.0, rel=0.003)


def test_judged_slice_that_begins_quiet_and_ends_slow_does_not_count():
    device = ScriptedDevice(state=lambda t: 1.4 if t > 1.0 else 1.0)
    timer = device.timer()
    timer.run(Budget(10**9, 0.0, 2.0, 2.0), LEVEL_NS)
    found = judged(timer.trace(), LEVEL_NS)
    assert set(found.latency_ns[found.counts]) == {MS}
    assert 0 < found.n_quiet < len(found.slowness)


def test_judged_slice_in_which_another_process_had_the_core_does_not_count():
    """A process beside it takes the core for 20 ms now and then: hardly a query is longer, and the mean would be."""
    device = ScriptedDevice(stops=dict.fromkeys(range(0, 4000, 150), 20.0))
    found, is_narrow = measured(device)
    assert is_narrow
    assert found.processor_share == 1.0
    assert 0.3 < found.n_quiet / len(found.slowness) < 0.9
    assert set(np.rint(found.latency_ns[found.counts])) == {MS}


def test_judged_each_part_of_the_anchor_can_show_that_the_core_is_not_quiet():
    timer = ScriptedDevice().timer()
    timer.run(Budget(10, 0.2, 0.5, 0.5), LEVEL_NS)
    for part in range(3):
        lower = LEVEL_NS.copy()
        lower[part] /= 1.3
        assert judged(timer.trace(), lower).n_quiet == 0


def test_lower_mode_is_that_of_the_fast_state_however_rare_it_is():
    rng = np.random.default_rng(0)
    for quiet_ratio in (0.02, 0.1, 0.5, 1.0):
        n = round(2000 * quiet_ratio)
        times = np.concatenate([rng.normal(1.0, 0.004, n), rng.normal(1.35, 0.05, 2000 - n)])
        assert lower_mode_ns(times) == pytest.approx(1.0, abs=0.005)


def test_lower_mode_single_times_that_are_too_short_do_not_decide():
    times = np.concatenate([np.full(FEWEST - 1, 0.7), np.linspace(0.99, 1.01, 50)])
    assert lower_mode_ns(times) == pytest.approx(1.0, abs=0.003)


def test_lower_mode_of_counts_is_that_of_the_times():
    times = np.repeat([1.0, 1.01, 1.4], [30, 40, 100])
    assert lower_mode_ns([1.0, 1.01, 1.4], [30, 40, 100]) == pytest.approx(lower_mode_ns(times))


def test_for_later_adds_what_another_process_has_of_its_own():
    found, _ = measured(ScriptedDevice())
    further = 10 * found.uncertainty
    made = for_later(Measurement(10.0, 9.7, 10.4, 50), found)
    assert (made.value, made.n) == (10.0, 50)
    assert made.low == pytest.approx(10 - (2 * 0.3**2 + further**2) ** 0.5)
    assert made.high == pytest.approx(10 + (2 * 0.4**2 + further**2) ** 0.5)
    assert for_later(Measurement(10.0, None, 10.4, 5), found).low is None
    assert for_later(Measurement.unknown("why"), found) == Measurement.unknown("why")
