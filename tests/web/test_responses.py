import asyncio

import pytest
from starlette.responses import PlainTextResponse, Response

from explorer.web.responses import HostGuard, compact_json, json_response, static_files


def test_json_is_compact_ascii_without_nan():
    assert compact_json({"a": [1, "ö"]}) == b'{"a":[1,"\\u00f6"]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        compact_json(float("nan"))


def test_json_response_has_status_and_headers():
    response = json_response({"error": "no"}, 503, {"retry-after": "1"})
    assert (response.status_code, response.body) == (503, b'{"error":"no"}')
    assert response.headers["retry-after"] == "1"
    assert response.headers["content-type"] == "application/json"


def test_static_files_are_scripts_and_style_sheets_alone(tmp_path):
    for name in ("page.js", "page.css", "index.html", "secret"):
        (tmp_path / name).write_text(name)
    table = static_files(tmp_path)
    assert sorted(table) == ["page.css", "page.js"]
    response = table["page.js"].response()
    assert (response.body, response.headers["cache-control"]) == (b"page.js", "no-store")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"


HOST = "127.0.0.1:8000"
POLICY = "default-src 'none'"


def ask(guard, *headers, kind="http"):
    """(status, headers) of the response to a request with these headers."""
    scope = {"type": kind, "method": "GET", "headers": [(name.encode(), value.encode()) for name, value in headers]}
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def guarded(app=None, wrong_origin=None):
    return HostGuard(
        app or PlainTextResponse("hello"), frozenset([HOST]), POLICY, Response(status_code=403), wrong_origin
    )


def test_every_response_has_the_security_headers():
    for host, status in ((HOST, 200), ("evil.example", 403)):
        found, headers = ask(guarded(), ("host", host))
        assert found == status
        assert headers["content-security-policy"] == POLICY
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"


def test_headers_of_the_application_are_kept():
    app = Response(headers={"cache-control": "max-age=1", "content-security-policy": "own"})
    _, headers = ask(guarded(app), ("host", HOST))
    assert (headers["cache-control"], headers["content-security-policy"]) == ("max-age=1", "own")


@pytest.mark.parametrize("hosts", [(), ("",), ("127.0.0.1",), (HOST, HOST)])
def test_host_must_be_there_once_with_its_port(hosts):
    assert ask(guarded(), *(("host", host) for host in hosts))[0] == 403


def test_origin_is_checked_only_where_there_is_a_response_for_it():
    foreign = [("host", HOST), ("origin", "http://evil.example")]
    assert ask(guarded(), *foreign)[0] == 200
    guard = guarded(wrong_origin=Response(status_code=406))
    assert ask(guard, *foreign)[0] == 406
    assert ask(guard, ("host", HOST), ("origin", f"http://{HOST}"))[0] == 200


def test_other_protocols_are_an_error():
    with pytest.raises(RuntimeError, match="not websocket"):
        ask(guarded(), kind="websocket")
