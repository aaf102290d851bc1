"""Conditions: what /proc says between two looks."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest

from explorer.measure.conditions import Clocks, PhaseTimer, SystemState
from explorer.observation import Conditions
from explorer.typed_json import from_json, to_json


@pytest.fixture
def proc(tmp_path):
    """A /proc of two cores and no thread; a function writes the ticks of core 1."""
    (tmp_path / "self" / "task").mkdir(parents=True)

    def write(user: int, steal: int = 0, idle: int = 0):
        rows = ["cpu  1 2 3 4 5 6 7 8 0 0", "cpu0 9 9 9 9 9 9 9 9 0 0", f"cpu1 {user} 0 0 {idle} 0 0 0 {steal} 0 0"]
        (tmp_path / "stat").write_text("\n".join([*rows, "intr 1"]))
        return tmp_path

    return write


def after(first: SystemState, seconds: float, process_s: float, second: SystemState) -> Conditions:
    later = replace(
        second,
        wall_s=first.wall_s + seconds,
        awake_s=first.awake_s + seconds,
        process_s=first.process_s + process_s,
    )
    return first.until(later)


def test_until_ticks_of_others_and_of_the_hypervisor_are_told_from_its_own(proc):
    first = SystemState.read([1], proc(1000))
    second = SystemState.read([1], proc(1000 + 91, steal=11))
    made = after(first, 1.0, 0.5, second)
    assert made.others_ratio == pytest.approx(0.4)
    assert made.steal_ratio == pytest.approx(0.1)


def test_until_quiet_core_shows_no_others(proc):
    first = SystemState.read([1], proc(1000))
    made = after(first, 1.0, 1.0, SystemState.read([1], proc(1100)))
    assert made.others_ratio == 0.0
    assert made.steal_ratio == 0.0


def test_until_system_that_does_not_tell_is_not_guessed(tmp_path):
    (tmp_path / "self" / "task").mkdir(parents=True)
    first = SystemState.read([1], tmp_path)
    made = first.until(SystemState.read([1], tmp_path))
    assert made.others_ratio is None
    assert made.steal_ratio is None


def test_until_core_that_the_system_does_not_list_is_not_guessed(proc):
    place = proc(1000)
    assert SystemState.read([7], place).ticks is None
    assert SystemState.read([0, 1], place).ticks is not None


def test_until_sleep_of_the_machine_is_seen(proc):
    first = SystemState.read([1], proc(1000))
    later = replace(first, wall_s=first.wall_s + 31.0, awake_s=first.awake_s + 1.0)
    assert first.until(later).suspended_s == pytest.approx(30.0)


def test_until_counts_the_threads_that_worked():
    """Real threads of this process: the one that waits does not count."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=work), threading.Thread(target=stop.wait)]
    for thread in threads:
        thread.start()
    try:
        first = SystemState.read([0])
        until = time.process_time() + 0.3
        while time.process_time() < until:
            sum(range(1000))
        made = first.until(SystemState.read([0]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert made.n_working == 2
    assert made.cores == tuple(sorted(os.sched_getaffinity(0)))
    assert from_json(Conditions, to_json(made)) == made


MS = 1_000_000


class Machine:
    """Clocks that move as they are told to, in milliseconds."""

    def __init__(self) -> None:
        self.wall = self.processor = self.waited = self.asleep = 0
        self.is_continued = False

    def passes(self, worked: int = 0, read: int = 0, waited: int = 0, stopped: int = 0, slept: int = 0) -> None:
        self.wall += worked + read + waited + stopped
        self.processor += worked
        self.waited += waited
        self.asleep += slept
        self.is_continued |= stopped > 0

    def was_stopped(self) -> bool:
        told, self.is_continued = self.is_continued, False
        return told

    def watch(self) -> PhaseTimer:
        clocks = Clocks(
            lambda: self.wall * MS,
            lambda: self.processor * MS,
            lambda: self.waited * MS,
            lambda: self.asleep * MS,
            self.was_stopped,
        )
        return PhaseTimer(0, clocks)


@pytest.mark.parametrize(
    ("happened", "still_s"),
    [
        ({"worked": 1000}, 0.0),
        ({"worked": 200, "read": 3000}, 0.0),
        ({"worked": 900, "waited": 90}, 0.0),
        ({"worked": 1000, "waited": 400}, 0.4),
        ({"worked": 1000, "stopped": 300}, 0.3),
        ({"worked": 1000, "waited": 200, "stopped": 300}, 0.5),
        ({"worked": 1000, "slept": 30_000}, 30.0),
    ],
)
def test_phase_timer_phase_stood_still_when_it_was_stopped_or_slept_or_had_no_core(happened, still_s):
    machine = Machine()
    watch = machine.watch()
    machine.passes(**happened)
    assert watch.end("load").still_s == pytest.approx(still_s)


def test_phase_timer_a_stop_is_told_of_its_own_phase_alone():
    machine = Machine()
    watch = machine.watch()
    machine.passes(worked=200, stopped=300)
    watch.end("start")
    machine.passes(worked=100, read=500)
    watch.end("load")
    machine.passes(worked=1000, stopped=400)
    watch.begin()
    machine.passes(worked=50)
    watch.end("warm-up")
    assert {name: phase.still_s for name, phase in watch.phases.items()} == pytest.approx(
        {"start": 0.3, "load": 0.0, "warm-up": 0.0}
    )
    assert [phase.wall_s for phase in watch.phases.values()] == pytest.approx([0.5, 0.6, 0.05])


def test_phase_timer_phase_that_comes_again_takes_the_place_of_the_earlier_one():
    machine = Machine()
    watch = machine.watch()
    machine.passes(stopped=300)
    watch.end("warm-up")
    machine.passes(worked=300)
    watch.end("warm-up")
    assert watch.phases["warm-up"].still_s == 0.0


def test_phase_timer_on_this_machine_reads_its_clocks():
    watch = PhaseTimer(0)
    watch.begin()
    phase = watch.end("load")
    assert not phase.was_stopped
    assert min(phase.wall_s, phase.processor_s, phase.waited_s, phase.suspended_s) >= 0
