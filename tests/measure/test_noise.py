"""The noise floor of this very machine, and its arithmetic."""

from __future__ import annotations

import os

import pytest
from scripted_device import ScriptedDevice

from explorer.errors import DeviceNotAvailable
from explorer.measure import noise
from explorer.measure.noise import difference_ratio, noise_floor, noise_of, same_work_sentence
from explorer.measure.timing import Budget
from explorer.measure.trace import Trace
from explorer.system.worker_process import WorkerProcess


def test_noise_floor_real_machine_gives_sound_ratios_and_leaves_the_process_where_it_was():
    before = os.sched_getaffinity(0)
    made = noise_floor()
    assert os.sched_getaffinity(0) == before
    assert made.n >= 6 * 20
    assert made.median_ms > 0
    assert made.p99_ratio >= 1
    assert 0 <= made.aa_ratio < 2
    assert 0 <= made.aa_raw_ratio < 2
    assert 0 <= made.aa_between_ratio < 2
    assert 0 <= made.aa_between_raw_ratio < 2


def timed(latency_ms: float, slowness: float = 1.0) -> Trace:
    """One measurement of a process on a scripted device; an anchor of 0.5 ms beside it."""
    device = ScriptedDevice(lambda n: latency_ms, slowness=lambda seconds: slowness)
    timer = device.timer()
    timer.run(Budget(20, 0.05, 0.25))
    return timer.trace()


def test_noise_of_processes_that_differ_is_told_from_noise_within_one():
    made = noise_of([[timed(1.0), timed(1.05)], [timed(1.0), timed(1.05)]])
    assert made.aa_ratio == made.aa_raw_ratio == 0.0
    assert made.aa_between_ratio == made.aa_between_raw_ratio == pytest.approx(0.05 / 1.025)


def test_noise_of_machine_that_slows_down_between_rounds_is_corrected():
    made = noise_of([[timed(1.0), timed(1.0)], [timed(1.0, slowness=1.5), timed(1.0, slowness=1.5)]])
    assert made.aa_raw_ratio == pytest.approx(0.4, abs=1e-3)
    assert made.aa_ratio == pytest.approx(0.0, abs=1e-3)
    assert made.aa_between_raw_ratio == 0.0


def test_noise_floor_processes_that_fail_are_one_sentence(monkeypatch):
    monkeypatch.setattr(noise, "WorkerProcess", lambda module, *rest: WorkerProcess("no_such_module", *rest))
    with pytest.raises(DeviceNotAvailable, match="noise floor could not be measured: exited with status 1"):
        noise_floor(n_processes=1)


def test_difference_ratio_is_the_median_over_pairs():
    assert difference_ratio([(1.0, 1.0), (1.0, 1.0)]) == 0.0
    assert difference_ratio([(0.95, 1.05)]) == pytest.approx(0.1)
    assert difference_ratio([(1.0, 1.0), (1.0, 3.0), (1.0, 3.0)]) == pytest.approx(1.0)


def test_same_work_sentence_unsteady_machine_is_called_so():
    assert same_work_sentence(0.004, 0.02, 0.03, 0.05) == (
        "the same work measured twice in one process (A/A) differs by 0.4%, uncorrected by 2.0%; "
        "in two processes by 3.0%, uncorrected by 5.0%"
    )
    assert "other work disturbs it" in same_work_sentence(0.06, 0.2, 0.06, 0.2)
