import inspect
import threading
from dataclasses import replace

import pytest

from explorer.measure import probing
from explorer.records import Progress, Variant
from explorer.views.server.feed import Feed
from explorer.views.server.snapshots import live_state
from explorer.views.terminal.run_counts import TrialEta


@pytest.fixture
def result(makers):
    return makers.make_small_result()


@pytest.fixture
def heard(result):
    """A feed and the rings that a listener heard."""
    feed, rings = Feed(result), []
    feed.listen(lambda: rings.append(threading.get_ident()))
    return feed, rings


def test_feed_rings_at_each_news_from_the_thread_that_tells(heard, result):
    feed, rings = heard
    feed.on_progress(Progress("train", 1, 2))
    feed.on_trial_start(6, Variant())
    feed.on_trial_end(result.trials[-1], result)
    feed.end("finished")
    assert rings == [threading.get_ident()] * 4


def test_feed_holds_the_news_back_while_a_probe_takes_times(heard, result):
    feed, rings = heard
    feed.on_trial_start(6, Variant())
    rings.clear()
    for done in range(5):
        feed.on_progress(Progress(probing.TIMING_STAGE, done))
    assert len(rings) == 1  # the announcement
    assert feed.state().timing is not None
    feed.on_trial_end(result.trials[-1], result)
    assert len(rings) == 2
    assert feed.state().timing is None


def test_feed_of_who_only_looks_now_and_then_does_not_miss_what_came_between_two_times(heard, result, makers):
    """Each look finds a probe at work, but not on the same trial."""
    feed, rings = heard
    work = Progress(probing.TIMING_STAGE)
    feed.update(result, "running", (6, Variant()), work)
    feed.update(result, "running", (6, Variant()), Progress(probing.TIMING_STAGE, 1))
    assert len(rings) == 1
    longer = replace(result, trials=(*result.trials, makers.make_trial(6, reason="gone")))
    feed.update(longer, "running", (7, Variant(width=0.5)), work)
    assert len(rings) == 2
    assert feed.state().version == 7
    feed.update(longer, "interrupted")
    assert len(rings) == 3


def test_feed_takes_the_pace_of_a_run_elsewhere(heard, result, clock):
    feed, _ = heard
    assert feed.seconds_left() is None
    here = [replace(trial, started=10.0 * n, finished=10.0 * n + 5) for n, trial in enumerate(result.trials)]
    clock.now = 55.0
    pace = TrialEta.of_run(result.space, 0.0, here, clock)
    feed.update(result, "running", (6, Variant()), Progress("train"), pace)
    assert feed.seconds_left() == pytest.approx((60 - 6) * 55 / 6)
    assert (feed.state().running, feed.state().progress) == ((6, Variant()), Progress("train"))
    feed.update(result, "finished")
    assert feed.seconds_left() is None


def test_probe_tells_of_the_stage_that_the_feed_knows():
    assert "on_progress(Progress(TIMING_STAGE))" in inspect.getsource(probing.probe)


def test_feed_without_listeners_and_after_they_left_rings_nobody(heard):
    feed, rings = heard
    other = []
    feed.listen(ring := lambda: other.append(1))
    feed.leave(ring)
    feed.leave(ring)
    feed.on_progress(Progress("train"))
    assert (len(rings), other) == (1, [])


def test_feed_keeps_the_newest_state_whole(heard, result):
    feed, _ = heard
    before = feed.state()
    feed.on_trial_start(6, Variant(width=0.5))
    feed.on_progress(Progress("build", 1, 3, "note"))
    assert before.running is None
    assert feed.state().running == (6, Variant(width=0.5))
    assert feed.state().version == 6


def test_digest_is_another_only_when_earlier_trials_or_the_limits_are(heard, result, makers):
    feed, _ = heard
    digest = feed.state().digest(6)
    longer = replace(result, trials=(*result.trials, makers.make_trial(6, reason="gone")))
    feed.on_trial_end(longer.trials[-1], longer)
    assert feed.state().digest(6) == digest != feed.state().digest(7)
    begun_anew = tuple(replace(trial, started=5000.0 + trial.number) for trial in result.trials)
    feed.update(replace(result, trials=begun_anew), "running")
    assert feed.state().digest(6) != digest
    feed.update(replace(result, space=makers.make_space(n_trials=99)), "running")
    assert feed.state().digest(6) != digest


def test_live_state_says_what_happens_now(result, clock):
    feed = Feed(result, clock=clock)
    feed.on_trial_start(6, Variant(width=0.5, runtime="onnxruntime"))
    feed.on_progress(Progress("recover\n<b>", 3, float("nan"), "x" * 1000))
    live = live_state(feed, feed.state())
    assert live["running"]["trial"] == 6
    assert "width 0.5" in live["running"]["variant"]
    assert live["progress"]["stage"] == "recover <b>"
    assert live["progress"]["total"] is None
    assert len(live["progress"]["note"]) <= 200
    assert live["seconds_left"] is None


def test_seconds_left_come_from_this_runs_trials(makers, clock):
    space = makers.make_space(n_trials=10)
    feed = Feed(makers.make_result(space=space), clock=clock)
    feed.on_trial_start(0, Variant())
    clock.now += 2.0
    done = makers.make_result([makers.make_trial(0, {"accuracy": 0.9})], space)
    feed.on_trial_end(done.trials[0], done)
    assert feed.seconds_left() == pytest.approx(18.0)
    feed.end("finished")
    assert feed.seconds_left() is None


def test_time_that_a_stage_still_takes_comes_from_its_pace(result, clock):
    feed = Feed(result, clock=clock)
    feed.on_progress(Progress("train", 0, 100))
    clock.now += 10.0
    feed.on_progress(Progress("train", 25, 100))
    assert live_state(feed, feed.state())["progress"]["seconds_left"] == pytest.approx(30.0)
    feed.on_progress(Progress("measure"))
    assert live_state(feed, feed.state())["progress"]["seconds_left"] is None


def test_feed_keeps_the_confirmations_progress_between_the_stages_of_its_measurements(makers):
    feed = Feed(makers.make_small_result())
    seen = []
    confirming = [Progress("confirm", done, 10, "round 1") for done in (2, 3)]
    for progress in (Progress("load"), confirming[0], Progress("timing"), confirming[1]):
        feed.on_progress(progress)
        seen.append(feed.state().confirming)
    assert seen == [None, confirming[0], confirming[0], confirming[1]]
    feed.on_confirmed(feed.state().result)
    assert feed.state().confirming is None


def test_feed_a_trial_or_the_end_ends_the_confirmation(makers):
    for end in (lambda feed: feed.on_trial_start(6, Variant()), lambda feed: feed.end("interrupted")):
        feed = Feed(makers.make_small_result())
        feed.on_progress(Progress("confirm", 2, 10))
        end(feed)
        assert feed.state().confirming is None
