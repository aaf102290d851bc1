import base64
import csv
import gzip
import hashlib
import io
import json
from dataclasses import replace

import pytest

from explorer.study.front import front_view
from explorer.views.outputs import trials_csv
from explorer.views.page import html as page
from explorer.views.page.compare import compare
from explorer.views.page.data import page_data
from explorer.views.page.detail import trial_detail
from explorer.views.server import events


def test_state_is_the_snapshot_and_what_happens_now(site):
    status, headers, body = site.ask("/api/state")
    state = json.loads(body)
    live = state.pop("live")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert state == json.loads(json.dumps(page_data(front_view(site.feed.state().result))))
    assert live == {
        "confirming": None,
        "progress": None, "running": None, "status": "running", "n_done": 6, "seconds_left": None, "version": 6
    }  # fmt: skip


def test_state_follows_the_study(site, makers):
    result = site.feed.state().result
    assert json.loads(site.ask("/api/state")[2])["live"]["version"] == 6
    site.feed.update(replace(result, trials=(*result.trials, makers.make_trial(6, reason="gone"))), "finished")
    state = json.loads(site.ask("/api/state")[2])
    assert state["trials"]["number"] == [0, 1, 2, 3, 4, 5, 6]
    assert state["live"]["status"] == "finished"


def test_state_before_the_first_trial_is_whole(make_site, makers):
    state = json.loads(make_site(makers.make_result()).ask("/api/state")[2])
    assert state["trials"]["number"] == []
    assert state["live"]["n_done"] == 0


def test_long_answers_are_compressed_for_who_takes_it(make_site, makers):
    site = make_site(makers.make_seeded_result(1000))
    _, plain_headers, plain = site.ask("/api/state")
    _, headers, body = site.ask("/api/state", headers=[("accept-encoding", "gzip, br")])
    assert "content-encoding" not in plain_headers
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == plain
    assert len(body) < len(plain) / 2
    assert "content-encoding" not in site.ask("/api/trials/0", headers=[("accept-encoding", "gzip")])[1]


def test_trial_is_addressed_by_its_number(site):
    status, _, body = site.ask("/api/trials/1")
    assert status == 200
    assert json.loads(body) == json.loads(json.dumps(trial_detail(front_view(site.feed.state().result), 1)))


@pytest.mark.parametrize(
    "name",
    ["6", "-1", "1.0", "1e0", "٣", "²", "0x1", "../0", "%2e%2e%2f0", "..\\0", "9" * 5000, "../../etc/passwd", "0/"],
)
def test_trial_that_does_not_exist_is_404(site, name):
    assert site.ask(f"/api/trials/{name}")[0] == 404
    assert site.faults == []


def test_two_trials_are_compared_by_their_numbers(site):
    status, _, body = site.ask("/api/compare/0/1")
    assert status == 200
    assert json.loads(body) == json.loads(json.dumps(compare(front_view(site.feed.state().result), 0, 1)))


@pytest.mark.parametrize("name", ["0", "0/", "0/9", "9/0", "0/-1", "0/1/2", "../0/1", "0/٣", "0/" + "9" * 5000])
def test_comparison_with_what_does_not_exist_is_404(site, name):
    assert site.ask(f"/api/compare/{name}")[0] == 404
    assert site.faults == []


@pytest.mark.parametrize(
    "name",
    [
        "../page.py",
        "%2e%2e%2fpage.py",
        "..\\page.py",
        "/etc/passwd",
        "../../../../etc/passwd",
        "index.html",
        "",
        "nothing.js",
        "main.js/..",
        "main.js%00",
    ],
)
def test_static_files_come_from_a_table_of_names(site, name):
    assert site.ask(f"/static/{name}")[0] == 404


def test_every_module_of_the_import_map_is_served(site):
    for name in page.module_names():
        status, headers, body = site.ask(f"/static/{name}.js")
        assert status == 200
        assert headers["content-type"].startswith("text/javascript")
        assert headers["cache-control"] == "no-store"
        assert body


def test_plotly_may_be_kept_and_nothing_else(site):
    assert "immutable" in site.ask("/static/plotly.min.js")[1]["cache-control"]
    for path in ("/", "/api/state", "/api/trials.csv", "/static/page.css"):
        assert site.ask(path)[1]["cache-control"] == "no-store"


def test_page_may_run_its_import_map_and_no_other_inline_script(site, monkeypatch):
    html = '<script type="importmap">{"imports": {}}</script><script>alert(1)</script>'
    monkeypatch.setattr(page, "render_live", lambda result: html)
    status, headers, body = site.ask("/")
    assert status == 200
    assert body.decode() == html
    expected = base64.b64encode(hashlib.sha256(b'{"imports": {}}').digest()).decode()
    assert f"'sha256-{expected}'" in headers["content-security-policy"]
    assert headers["content-security-policy"].count("'sha256-") == 1
    assert "'unsafe-inline'" not in headers["content-security-policy"].partition("script-src")[2].partition(";")[0]


def test_page_shows_the_study(site):
    status, headers, body = site.ask("/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert b"made-up" in body
    assert b"/static/main.js" in body


def test_hostile_names_are_text_in_page_and_headers(make_site, makers):
    name = '"><img src=x onerror=alert(1)>\r\nX-Evil: 1 ö☃'
    site = make_site(replace(makers.make_small_result(), name=name))
    assert b"<img src=x" not in site.ask("/")[2]
    _, headers, _ = site.ask("/api/trials.csv")
    assert headers["content-disposition"] == (
        'attachment; filename="___img_src_x_onerror_alert_1____X-Evil__1___-trials.csv"'
    )
    assert json.loads(site.ask("/api/state")[2])["study"]["name"] == name
    assert site.faults == []


def test_csv_is_the_same_as_the_file(site):
    _, headers, body = site.ask("/api/trials.csv")
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["content-disposition"] == 'attachment; filename="made-up-trials.csv"'
    assert body.decode() == trials_csv(site.feed.state().result)
    assert len(list(csv.DictReader(io.StringIO(body.decode())))) == 6


def test_json_has_every_trial_with_its_intervals(site):
    found = json.loads(site.ask("/api/trials.json")[2])
    assert found["study"] == "made-up"
    assert [trial["trial"] for trial in found["trials"]] == [0, 1, 2, 3, 4, 5]
    assert found["trials"][0]["metrics"]["accuracy"] == {"value": 0.92, "low": None, "high": None, "n": None}
    assert found["trials"][5]["failure"] == "signal SIGSEGV in measure"


def test_head_has_no_surprises(site):
    assert site.ask("/api/state", "HEAD")[0] == 200


def test_head_of_the_stream_ends(site):
    status, headers, body = site.ask("/api/events", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-type"].startswith("text/event-stream")


def test_more_pages_than_can_be_followed_are_told_so(site, monkeypatch):
    monkeypatch.setattr(events, "MAX_STREAMS", 0)
    status, headers, body = site.ask("/api/events")
    assert status == 503
    assert b"close some" in body
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/state/", "/api/trials", "/artifact/../../etc/passwd"])
def test_anything_else_is_404(site, path):
    assert site.ask(path)[0] == 404


def test_fault_is_a_500_and_one_sentence(site, monkeypatch):
    def broken(result):
        raise ValueError("not today")

    monkeypatch.setattr(page, "render_live", broken)
    status, headers, body = site.ask("/")
    assert status == 500
    assert b"not today" not in body
    assert headers["x-content-type-options"] == "nosniff"
    assert site.faults == ["the dashboard could not answer /: ValueError: not today"]


def test_fault_is_said_once_and_without_control_codes(site, monkeypatch):
    def broken(result):
        raise ValueError("\x1b[2Jnot\ntoday")

    monkeypatch.setattr(page, "render_live", broken)
    for _ in range(3):
        assert site.ask("/")[0] == 500
    assert site.faults == ["the dashboard could not answer /: ValueError: [2Jnot today"]
