import json
from dataclasses import replace

import pytest

from explorer.measure.probing import TIMING_STAGE
from explorer.records import Progress, Variant
from explorer.study.front import front_view
from explorer.views.page.data import MAX_PLAIN, page_data, trial_rows
from explorer.views.server.events import new_events, parse_position
from explorer.views.server.feed import Feed


@pytest.fixture
def feed(makers):
    return Feed(makers.make_small_result())


def read(messages):
    """(event, id, data) of each message."""
    found = []
    for message in messages:
        assert message.endswith(b"\n\n")
        assert message.count(b"\n") == 4
        fields = dict(line.split(": ", 1) for line in message.decode("ascii").splitlines() if line)
        found.append((fields["event"], int(fields["id"].partition("-")[0]), json.loads(fields["data"])))
    return found


def grown(feed, makers, n):
    """Tell the feed `n` trials more, one by one."""
    for _ in range(n):
        result = feed.state().result
        record = makers.make_trial(len(result.trials), reason="gone")
        feed.on_trial_end(record, replace(result, trials=(*result.trials, record)))


def test_reader_gets_exactly_the_trials_that_it_lacks(feed, makers):
    grown(feed, makers, 2)
    messages, position = new_events(feed, feed.state(), parse_position("5", feed.state()))
    (name, version, data), live = read(messages)
    assert (name, version) == ("trials", 8)
    assert (data["first"], data["version"]) == (5, 8)
    assert data["trials"] == json.loads(json.dumps(trial_rows(front_view(feed.state().result), 5)))
    assert data["trials"]["number"] == [5, 6, 7]
    assert data["reasons"] == {"5": "signal SIGSEGV in measure", "6": "gone", "7": "gone"}
    assert "constraints" not in data
    assert live[:2] == ("live", 8)
    assert position.n_trials == 8


def test_reader_with_everything_gets_the_live_object_once(feed):
    messages, position = new_events(feed, feed.state(), parse_position("6", feed.state()))
    assert [event for event, _, _ in read(messages)] == ["live"]
    assert new_events(feed, feed.state(), position) == ([], position)


def test_first_trials_bring_what_they_settled(makers):
    result = makers.make_small_result()
    feed = Feed(replace(result, trials=(), reference_point=None))
    messages, position = new_events(feed, feed.state(), parse_position("0", feed.state()))
    assert [event for event, _, _ in read(messages)] == ["live"]
    feed.on_trial_end(result.trials[0], replace(result, trials=result.trials[:1]))
    messages, position = new_events(feed, feed.state(), position)
    data = read(messages)[0][2]
    snapshot = json.loads(json.dumps(page_data(front_view(feed.state().result))))
    for name in ("constraints", "reference_point", "ideal_point", "metrics", "parameters", "study"):
        assert data[name] == snapshot[name]
    feed.on_trial_end(result.trials[1], replace(result, trials=result.trials[:2]))
    assert "metrics" not in read(new_events(feed, feed.state(), position)[0])[0][2]


def test_trial_that_knows_a_new_metric_brings_the_metrics(feed, makers):
    position = new_events(feed, feed.state(), parse_position("6", feed.state()))[1]
    result = feed.state().result
    record = makers.make_trial(6, {"accuracy": 0.9, "latency_ms": 1.0, "cost_usd_per_million": 0.1, "energy_mj": 4.0})
    feed.on_trial_end(record, replace(result, trials=(*result.trials, record)))
    data = read(new_events(feed, feed.state(), position)[0])[0][2]
    assert "energy_mj" in [metric["name"] for metric in data["metrics"]]


@pytest.mark.parametrize(
    "said", ["7", "-1", "abc", "", "6.0", "٣", "9" * 5000, "1 or 1", "6-", "6-0123456789ab", "6-6-6"]
)
def test_reader_that_has_what_never_was_is_reset(feed, said):
    messages, position = new_events(feed, feed.state(), parse_position(said, feed.state()))
    assert [event for event, _, _ in read(messages)] == ["reset", "live"]
    assert position.n_trials == 6


def last_id(messages):
    """What a browser would say next."""
    return messages[-1].decode("ascii").partition("id: ")[2].partition("\n")[0]


def test_reader_that_comes_back_says_which_trials_it_has(feed, makers):
    said = last_id(new_events(feed, feed.state(), parse_position("6", feed.state()))[0])
    grown(feed, makers, 1)
    (name, _, data), _ = read(new_events(feed, feed.state(), parse_position(said, feed.state()))[0])
    assert (name, data["first"]) == ("trials", 6)


def test_reader_of_as_many_trials_of_another_study_is_reset(feed, makers):
    """The study was removed and begun anew while its server was down; the page knows nothing of it."""
    said = last_id(new_events(feed, feed.state(), parse_position("6", feed.state()))[0])
    result = feed.state().result
    begun_anew = tuple(replace(trial, started=trial.started + 1e6) for trial in result.trials)
    for other in (replace(result, trials=begun_anew), replace(result, space=makers.make_space(n_trials=99))):
        again = Feed(other)
        messages, _ = new_events(again, again.state(), parse_position(said, again.state()))
        assert [event for event, _, _ in read(messages)] == ["reset", "live"]


def test_reader_is_reset_when_the_study_goes_on_with_other_limits(feed, makers):
    position = new_events(feed, feed.state(), parse_position("6", feed.state()))[1]
    result = feed.state().result
    feed.update(replace(result, space=replace(result.space, search=makers.make_space(n_trials=99).search)), "running")
    assert [event for event, _, _ in read(new_events(feed, feed.state(), position)[0])] == ["reset", "live"]


def test_reader_that_says_nothing_gets_the_last_trials_again(feed):
    (name, _, data), _ = read(new_events(feed, feed.state(), parse_position(None, feed.state()))[0])
    assert name == "trials"
    assert data["trials"]["number"] == [0, 1, 2, 3, 4, 5]


def test_reader_of_a_study_begun_anew_is_reset_once(feed, makers):
    position = new_events(feed, feed.state(), parse_position("6", feed.state()))[1]
    feed.on_trial_end(makers.make_trial(0), replace(feed.state().result, trials=(makers.make_trial(0),)))
    messages, position = new_events(feed, feed.state(), position)
    assert [event for event, _, _ in read(messages)] == ["reset", "live"]
    grown(feed, makers, 1)
    assert [event for event, _, _ in read(new_events(feed, feed.state(), position)[0])] == ["trials", "live"]


def test_reader_that_lacks_very_much_is_reset(makers):
    trials = [makers.make_trial(number, {"accuracy": 0.5}) for number in range(MAX_PLAIN + 1)]
    feed = Feed(makers.make_result(trials))
    assert read(new_events(feed, feed.state(), parse_position("0", feed.state()))[0])[0][0] == "reset"
    assert read(new_events(feed, feed.state(), parse_position("1", feed.state()))[0])[0][0] == "trials"


def test_reader_hears_that_times_are_taken_and_then_nothing(feed, makers):
    position = new_events(feed, feed.state(), parse_position("6", feed.state()))[1]
    feed.on_trial_start(6, Variant())
    feed.on_progress(Progress(TIMING_STAGE))
    messages, position = new_events(feed, feed.state(), position)
    assert read(messages)[0][2]["progress"]["stage"] == TIMING_STAGE
    feed.on_progress(Progress(TIMING_STAGE, 1, 2))
    assert new_events(feed, feed.state(), position) == ([], position)
    grown(feed, makers, 1)
    assert [event for event, _, _ in read(new_events(feed, feed.state(), position)[0])] == ["trials", "live"]


def test_progress_costs_no_look_at_the_trials(feed, monkeypatch):
    position = new_events(feed, feed.state(), parse_position("6", feed.state()))[1]
    feed.on_progress(Progress("train", 1, 2))
    monkeypatch.setattr(type(feed.state().result), "metric_names", None)
    assert [event for event, _, _ in read(new_events(feed, feed.state(), position)[0])] == ["live"]


def test_reader_hears_of_the_next_trial_whose_times_are_taken(feed, makers):
    feed.update(feed.state().result, "running", (6, Variant()), Progress(TIMING_STAGE))
    position = new_events(feed, feed.state(), parse_position("6", feed.state()))[1]
    longer = replace(feed.state().result, trials=(*feed.state().result.trials, makers.make_trial(6, reason="gone")))
    feed.update(longer, "running", (7, Variant()), Progress(TIMING_STAGE))
    messages, position = new_events(feed, feed.state(), position)
    assert [event for event, _, _ in read(messages)] == ["trials", "live"]
    feed.update(longer, "running", (7, Variant()), Progress(TIMING_STAGE, 1))
    assert new_events(feed, feed.state(), position)[0] == []


def test_reader_is_reset_when_the_study_is_confirmed_and_when_more_trials_come(feed, makers):
    position = new_events(feed, feed.state(), parse_position("6", feed.state()))[1]
    result = makers.with_artifacts(feed.state().result)
    feed.update(result, "running")
    feed.on_confirmed(makers.make_confirmed(result))
    messages, position = new_events(feed, feed.state(), position)
    assert [event for event, _, _ in read(messages)] == ["reset", "live"]
    grown(feed, makers, 1)
    messages, position = new_events(feed, feed.state(), position)
    assert [event for event, _, _ in read(messages)] == ["reset", "live"]
    grown(feed, makers, 1)
    assert [event for event, _, _ in read(new_events(feed, feed.state(), position)[0])] == ["trials", "live"]


def test_reader_that_left_before_the_study_was_confirmed_is_reset(makers):
    result = makers.with_artifacts(makers.make_small_result())
    before, after = Feed(result), Feed(makers.make_confirmed(result))

    def seen(said):
        return [event for event, _, _ in read(new_events(after, after.state(), parse_position(said, after.state()))[0])]

    assert seen(last_id(new_events(before, before.state(), parse_position("6", before.state()))[0])) == [
        "reset",
        "live",
    ]
    assert seen(last_id(new_events(after, after.state(), parse_position("6", after.state()))[0])) == ["live"]
