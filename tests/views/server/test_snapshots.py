import gzip
import json
from dataclasses import replace

import pytest

from explorer.views.page.data import page_data
from explorer.views.page.insights import insights
from explorer.views.server import snapshots
from explorer.views.server.feed import Feed
from explorer.views.server.snapshots import Snapshots


@pytest.fixture
def feed(makers):
    return Feed(makers.make_seeded_result(300))


def test_zipped_state_is_the_state_whatever_happens_now(feed):
    kept = Snapshots(feed)
    for status in ("running", "interrupted", "finished"):
        feed.update(feed.state().result, status)
        assert gzip.decompress(kept.zipped_state()) == kept.state()
        assert json.loads(kept.state())["live"]["status"] == status


def test_zipped_state_follows_the_study(feed, makers):
    kept = Snapshots(feed)
    before = json.loads(gzip.decompress(kept.zipped_state()))
    result = feed.state().result
    feed.update(replace(result, trials=(*result.trials, makers.make_trial(300, reason="gone"))), "running")
    after = json.loads(gzip.decompress(kept.zipped_state()))
    assert (len(before["trials"]["number"]), len(after["trials"]["number"])) == (300, 301)


def test_short_state_is_not_zipped(makers):
    assert Snapshots(Feed(makers.make_small_result())).zipped_state() is None


def test_snapshot_is_made_once_for_all_who_ask(feed, monkeypatch):
    asked = []
    monkeypatch.setattr(snapshots, "page_data", lambda front: asked.append(front.searched) or page_data(front))
    kept = Snapshots(feed)
    kept.zipped_state()
    kept.state()
    kept.zipped_state()
    assert asked == [feed.state().result]


def n_looked_at(site):
    return json.loads(site.ask("/api/insights")[2])["n_trials"]


def test_insights_are_answered_as_they_are_in_the_report(site):
    status, headers, body = site.ask("/api/insights")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == json.loads(json.dumps(insights(site.feed.state().result)))


def test_insights_are_made_anew_when_the_study_has_grown_by_a_twentieth(make_site, makers):
    full = makers.make_seeded_result(50)
    site = make_site(replace(full, trials=full.trials[:40]))
    assert n_looked_at(site) == 40
    site.feed.update(replace(full, trials=full.trials[:41]), "running")
    assert n_looked_at(site) == 40
    site.feed.update(replace(full, trials=full.trials[:42]), "running")
    assert n_looked_at(site) == 42


def test_insights_of_the_end_and_of_another_study_are_made_anew(make_site, makers):
    full = makers.make_seeded_result(50)
    site = make_site(replace(full, trials=full.trials[:40]))
    assert n_looked_at(site) == 40
    site.feed.update(replace(full, trials=full.trials[:41]), "finished")
    assert n_looked_at(site) == 41
    site.feed.update(makers.make_result([makers.make_trial(0, reason="gone")]), "running")
    assert n_looked_at(site) == 1
