"""A Unix clock that is set while a study runs: nothing takes less than no time, nothing waits, nobody seems dead."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace

import psutil
import pytest
from fakes import RecordingView, small_space, start
from hypothesis import given
from hypothesis import strategies as st

from explorer.measure.roofline_peaks import Peaks
from explorer.records import TrialOutcome, Variant
from explorer.study import loop, session
from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.study.result import TrialRecord
from explorer.study.store import lock
from explorer.study.store.lock import held_since, study_lock
from explorer.views.page.columns import trial_columns
from explorer.views.terminal.run_counts import TrialEta
from explorer.views.trial import trial_info

_DAY_S = 86_400.0


@pytest.fixture
def set_clock(monkeypatch):
    """Sets the Unix clock, as the study sees it, forward or back by so many seconds."""
    shift = [0.0]
    clock = SimpleNamespace(time=lambda: time.time() + shift[0], monotonic=time.monotonic)
    for module in (lock, loop, session):
        monkeypatch.setattr(module, "time", clock)

    def move(seconds: float) -> None:
        shift[0] += seconds

    return move


@pytest.mark.parametrize("jump_s", [_DAY_S, -_DAY_S])
def test_study_whose_clock_jumps_runs_to_its_budget_and_no_trial_took_less_than_no_time(tmp_path, set_clock, jump_s):
    jumps = RecordingView(lambda event: set_clock(jump_s) if event == "progress measuring" else None)
    result = start(small_space(n_trials=5, timeout_s=3600.0), tmp_path, view=jumps)
    assert len(result.trials) == 5
    assert all(trial.finished >= trial.started for trial in result.trials)
    assert (trial_columns(result)["seconds"] >= 0).all()
    assert trial_info(front_view(result), result.trials[3])["seconds"] >= 0
    assert load_result(tmp_path).trials == result.trials


def test_study_is_resumed_at_an_earlier_hour_than_it_was_stopped(tmp_path, set_clock):
    before = start(small_space(n_trials=3), tmp_path).trials
    set_clock(-_DAY_S)
    result = start(small_space(n_trials=6), tmp_path)
    assert result.trials[:3] == before
    assert [trial.number for trial in result.trials] == list(range(6))


def test_holder_stays_alive_for_others_when_the_clock_is_set(tmp_path, monkeypatch):
    started, booted = psutil.Process.create_time, psutil.boot_time
    with study_lock(tmp_path, pytest.fail) as since:
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: started(process) + _DAY_S)
        monkeypatch.setattr(psutil, "boot_time", lambda: booted() + _DAY_S)
        assert held_since(tmp_path) == since


def test_holder_that_seems_to_begin_tomorrow_began_0_minutes_ago(set_clock, tmp_path):
    set_clock(_DAY_S)
    with study_lock(tmp_path, pytest.fail):
        set_clock(-_DAY_S)
        assert "began 0 min ago" in lock._described(lock._read_holder(tmp_path / lock.HOLDER_NAME))


def test_peaks_that_seem_measured_tomorrow_are_new():
    assert Peaks(1.0, 1.0, 1.0, 1, measured_at="2999-01-01T00:00:00+00:00").age_s == 0


seconds = st.floats(-1e9, 1e9)


@given(
    since=seconds,
    times=st.lists(st.tuples(seconds, st.floats(0, 1e6)), max_size=5),
    now=seconds,
    timeout_s=st.one_of(st.none(), st.floats(1, 1e6)),
)
def test_pace_of_a_run_by_any_clock_is_unknown_or_a_time_to_come(since, times, now, timeout_s):
    trials = [
        TrialRecord(number, "complete", TrialOutcome(Variant()), {}, started, started + took)
        for number, (started, took) in enumerate(times)
    ]
    left = TrialEta.of_run(small_space(n_trials=8, timeout_s=timeout_s), since, trials, lambda: now).seconds_left(3)
    assert left is None or (left >= 0 and math.isfinite(left))
