"""Conditions: what /proc says between two looks."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest

from explorer.measure.conditions import Conditions, Look


@pytest.fixture
def proc(tmp_path):
    """A /proc of two cores and no thread; a function writes the ticks of core 1."""
    (tmp_path / "self" / "task").mkdir(parents=True)

    def write(user: int, steal: int = 0, idle: int = 0):
        rows = ["cpu  1 2 3 4 5 6 7 8 0 0", "cpu0 9 9 9 9 9 9 9 9 0 0", f"cpu1 {user} 0 0 {idle} 0 0 0 {steal} 0 0"]
        (tmp_path / "stat").write_text("\n".join([*rows, "intr 1"]))
        return tmp_path

    return write


def after(first: Look, seconds: float, process_s: float, second: Look) -> Conditions:
    later = replace(
        second,
        wall_s=first.wall_s + seconds,
        awake_s=first.awake_s + seconds,
        process_s=first.process_s + process_s,
    )
    return first.until(later)


def test_until_ticks_of_others_and_of_the_hypervisor_are_told_from_its_own(proc):
    first = Look.now([1], proc(1000))
    second = Look.now([1], proc(1000 + 91, steal=11))
    made = after(first, 1.0, 0.5, second)
    assert made.others_ratio == pytest.approx(0.4)
    assert made.steal_ratio == pytest.approx(0.1)


def test_until_quiet_core_shows_no_others(proc):
    first = Look.now([1], proc(1000))
    made = after(first, 1.0, 1.0, Look.now([1], proc(1100)))
    assert made.others_ratio == 0.0
    assert made.steal_ratio == 0.0


def test_until_system_that_does_not_tell_is_not_guessed(tmp_path):
    (tmp_path / "self" / "task").mkdir(parents=True)
    first = Look.now([1], tmp_path)
    made = first.until(Look.now([1], tmp_path))
    assert made.others_ratio is None
    assert made.steal_ratio is None


def test_until_core_that_the_system_does_not_list_is_not_guessed(proc):
    place = proc(1000)
    assert Look.now([7], place).ticks is None
    assert Look.now([0, 1], place).ticks is not None


def test_until_sleep_of_the_machine_is_seen(proc):
    first = Look.now([1], proc(1000))
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
        first = Look.now([0])
        until = time.process_time() + 0.3
        while time.process_time() < until:
            sum(range(1000))
        made = first.until(Look.now([0]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert made.n_working == 2
    assert made.cores == tuple(sorted(os.sched_getaffinity(0)))
    assert Conditions.from_json(made.to_json()) == made
