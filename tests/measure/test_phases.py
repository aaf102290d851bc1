"""Phases on scripted clocks: what counts as standing still, and what is only waiting for files."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from explorer.measure.phases import Clocks, Phase, Watch

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

    def watch(self) -> Watch:
        clocks = Clocks(
            lambda: self.wall * MS,
            lambda: self.processor * MS,
            lambda: self.waited * MS,
            lambda: self.asleep * MS,
            self.was_stopped,
        )
        return Watch(0, clocks)


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
def test_watch_phase_stood_still_when_it_was_stopped_or_slept_or_had_no_core(happened, still_s):
    machine = Machine()
    watch = machine.watch()
    machine.passes(**happened)
    assert watch.end("load").still_s == pytest.approx(still_s)


def test_watch_a_stop_is_told_of_its_own_phase_alone():
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


def test_watch_phase_that_comes_again_takes_the_place_of_the_earlier_one():
    machine = Machine()
    watch = machine.watch()
    machine.passes(stopped=300)
    watch.end("warm-up")
    machine.passes(worked=300)
    watch.end("warm-up")
    assert watch.phases["warm-up"].still_s == 0.0


def test_watch_on_this_machine_reads_its_clocks():
    watch = Watch(0)
    watch.begin()
    phase = watch.end("load")
    assert not phase.was_stopped
    assert min(phase.wall_s, phase.processor_s, phase.waited_s, phase.suspended_s) >= 0


def test_phase_goes_through_json_and_what_is_none_is_refused():
    phase = Phase(1.0, 0.5, 0.1, 0.0, True)
    assert Phase.from_json(asdict(phase)) == phase
    with pytest.raises(TypeError, match="expected four numbers and a truth value"):
        Phase.from_json({**asdict(phase), "wall_s": "long"})
    with pytest.raises(TypeError):
        Phase.from_json({"wall_s": 1.0})
