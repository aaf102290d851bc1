"""How long a stage will still take."""

from explorer.records import Progress
from explorer.views.pace import StagePace


def test_pace_counts_what_this_run_did_not_what_an_earlier_one_had_done(clock):
    pace = StagePace(clock)
    assert pace.seconds_left(Progress("train", 500, 1000)) is None
    clock.now += 10.0
    assert pace.seconds_left(Progress("train", 600, 1000)) == 40.0


def test_pace_of_a_new_stage_begins_anew(clock):
    pace = StagePace(clock)
    pace.seconds_left(Progress("train", 0, 10))
    clock.now += 100.0
    assert pace.seconds_left(Progress("export", 0, 10)) is None
    clock.now += 5.0
    assert pace.seconds_left(Progress("export", 5, 10)) == 5.0


def test_pace_without_an_end_or_a_measure_is_unknown(clock):
    pace = StagePace(clock)
    for done in (0, 0.001):
        clock.now += 10.0
        assert pace.seconds_left(Progress("wait", done, 1000)) is None
    assert pace.seconds_left(Progress("wait", 5, None)) is None
