import gzip
import json
from dataclasses import replace

import pytest

from explorer.views.page_data import page_data
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
    monkeypatch.setattr(snapshots, "page_data", lambda result: asked.append(result) or page_data(result))
    kept = Snapshots(feed)
    kept.zipped_state()
    kept.state()
    kept.zipped_state()
    assert asked == [feed.state().result]
