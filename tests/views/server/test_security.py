import json

import pytest

from explorer.views.server.security import Keys

TOKEN, HOST = "the-token", "127.0.0.1:8321"
PATHS = ("/", "/api/state", "/api/events", "/api/trials/0", "/api/trials.csv", "/static/plotly.min.js", "/nowhere")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:8321", "[::1]:8321", "LOCALHOST:8321"])
def test_host_of_loopback_with_the_port_is_answered(site, host):
    assert site.ask("/api/state", host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8321",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8321.evil.example",
        "localhost.evil.example:8321",
        "[::1]evil",
        "[::1]evil:8321",
        "0.0.0.0:8321",
        "127.0.0.1:8321, evil.example",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/state", "/api/events", "/?token=the-token"])
def test_host_that_is_not_ours_is_refused(site, host, path):
    status, headers, body = site.ask(path, host=host)
    assert status == 403
    assert "set-cookie" not in headers
    assert b"made-up" not in body


@pytest.mark.parametrize("method", METHODS)
def test_foreign_host_is_refused_on_every_method(site, method):
    assert site.ask("/api/events", method, [("x-explore-token", TOKEN)], host="evil.example")[0] == 403


def test_two_hosts_are_refused_even_when_both_are_ours(site):
    assert site.ask("/api/state", headers=[("host", HOST)])[0] == 403


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_answered_without_the_token(site, path):
    for cookie in (None, "", "wrong", TOKEN + "x", "tö"):
        status, headers, body = site.ask(path, cookie=cookie)
        assert status == 403
        assert b"explore dashboard" in body
        assert b"made-up" not in body
        assert "set-cookie" not in headers
        assert headers["connection"] == "close"


def test_token_of_the_link_becomes_a_strict_cookie_and_leaves_the_address(site):
    status, headers, body = site.ask("/?token=the-token", cookie=None)
    assert status == 303
    assert headers["location"] == "/"
    assert body == b""
    name_and_value, *attributes = headers["set-cookie"].split("; ")
    assert name_and_value == "explore-8321=the-token"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)


def test_redirect_keeps_the_rest_of_the_view_and_stays_here(site):
    location = site.ask("/?x=latency_ms&token=the-token&next=//evil.example", cookie=None)[1]["location"]
    assert location == "/?x=latency_ms&next=%2F%2Fevil.example"


@pytest.mark.parametrize("path", ["/?token=wrong", "/?token=", "/api/state?token=the-token", "//evil.example/?token=x"])
def test_token_counts_only_when_it_is_right_and_at_the_page(site, path):
    assert site.ask(path, cookie=None)[0] == 403


@pytest.mark.parametrize("method", [method for method in METHODS if method not in ("GET", "HEAD")])
@pytest.mark.parametrize("path", ["/", "/api/state", "/api/trials/0", "/api/export"])
def test_writing_with_the_cookie_alone_is_refused(site, method, path):
    assert site.ask(path, method)[0] == 403
    assert site.ask(path, method, [("x-explore-token", "wrong")])[0] == 403
    assert site.ask(path, method, [("x-explore-token", TOKEN)])[0] in (404, 405)


def test_writing_needs_the_cookie_and_the_token_that_the_page_was_given(site):
    token = json.loads(site.ask("/api/write-token")[2])["token"]
    assert len(token) == 32
    assert token != TOKEN
    assert site.ask("/api/state", "POST", [("x-explore-token", token)])[0] == 405
    assert site.ask("/api/state", "POST", [("x-explore-token", token)], cookie=None)[0] == 403
    assert site.ask("/api/state", headers=[("x-explore-token", token)], cookie=None)[0] == 403


@pytest.mark.parametrize("path", [*PATHS, "/?token=the-token"])
@pytest.mark.parametrize("cookie", [TOKEN, None])
def test_every_answer_forbids_framing_sniffing_and_referrers(site, path, cookie):
    if path == "/api/events" and cookie:
        return  # the stream has no end; test_thread reads its headers from a real server
    _, headers, _ = site.ask(path, cookie=cookie)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert "server" not in headers


def test_other_cookies_do_not_matter(site):
    assert site.ask("/api/state", headers=[("cookie", "a=b; =; explore-8321")], cookie=None)[0] == 403
    assert site.ask("/api/state", headers=[("cookie", "a=b;explore-8321=the-token")], cookie=None)[0] == 200
    assert site.ask("/api/state", headers=[("cookie", "explore-8322=the-token")], cookie=None)[0] == 403


def test_keys_know_the_token_and_nothing_else():
    keys = Keys(TOKEN)
    assert keys.is_token(TOKEN)
    assert keys.opens(TOKEN)
    for text in ("", "the-toke", "the-token\x00", "\udcff"):
        assert not keys.opens(text)
