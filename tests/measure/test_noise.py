"""The noise of this very machine, and what is said of one that is known."""

from __future__ import annotations

import os

import numpy as np
import pytest
from scripted_device import LEVEL_NS, ScriptedDevice, spells

from explorer.errors import DeviceNotAvailable
from explorer.measure import noise
from explorer.measure.noise import measured_noise, noise_of
from explorer.measure.timing import Budget
from explorer.system.worker_process import WorkerProcess


def test_noise_of_the_real_machine_is_sound_and_leaves_the_process_where_it_was():
    before = os.sched_getaffinity(0)
    made = measured_noise(1.5)
    assert os.sched_getaffinity(0) == before
    assert made.n_slices >= 5
    assert 0 <= made.quiet_ratio <= 1
    assert 1.5 <= made.seconds < 5
    assert made.sentence.startswith("this core is quiet ")


@pytest.fixture
def _known_level(monkeypatch):
    monkeypatch.setattr(noise, "learned_level_ns", lambda medians_ns: LEVEL_NS)


def of_machine(state):
    rng = np.random.default_rng(0)
    timer = ScriptedDevice(lambda n: float(rng.normal(0.2, 0.005)), state).timer()
    timer.run(Budget(10**9, 0.0, 20.0, 20.0))
    return noise_of(timer.trace())


@pytest.mark.usefixtures("_known_level")
def test_noise_of_quiet_machine_is_that_between_processes():
    made = of_machine(lambda t: 1.0)
    assert made.quiet_ratio == 1.0
    assert made.slow_ratio is None
    assert made.sentence == "this core is quiet 100% of the time; latencies will be good to 0.5% at 1.25 s a variant"


@pytest.mark.usefixtures("_known_level")
def test_noise_of_machine_of_two_states_says_how_often_and_how_slow():
    made = of_machine(spells(0.4, seed=1))
    assert 0.2 < made.quiet_ratio < 0.7
    assert made.slow_ratio == pytest.approx(1.37, abs=0.1)
    assert "times slower otherwise; latencies will be good to 0." in made.sentence


@pytest.mark.usefixtures("_known_level")
def test_noise_of_machine_that_is_never_quiet_says_what_follows():
    made = of_machine(lambda t: 1.4)
    assert made.quiet_ratio == 0.0
    assert made.repeatability_ratio is None
    assert made.sentence == "this core is quiet 0% of the time: that is too rare, so expect wide intervals"


def test_noise_process_that_fails_is_one_sentence(monkeypatch):
    monkeypatch.setattr(noise, "WorkerProcess", lambda module, *rest: WorkerProcess("no_such_module", *rest))
    with pytest.raises(DeviceNotAvailable, match="noise of this machine could not be measured: exited with status 1"):
        measured_noise(0.1)
