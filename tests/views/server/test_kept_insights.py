import json
from dataclasses import replace

from explorer.views.insights import insights


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
