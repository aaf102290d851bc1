import http.client
import socket
from types import SimpleNamespace

import pytest

from explorer.records import Progress
from explorer.views.server import thread
from explorer.views.server.feed import Feed
from explorer.web.server import abort_if_silent


@pytest.fixture
def feed(makers):
    return Feed(makers.make_small_result())


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=120)


def test_connections_beyond_the_limit_are_hung_up_on_and_the_others_go_on(feed, serve, monkeypatch, eventually):
    monkeypatch.setattr(thread, "MAX_CONNECTIONS", 3)
    server, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    crowd = [connected(server) for _ in range(20)]
    n_open = len(server._web.connections)
    assert n_open <= 3
    assert all(is_hung_up(one) for one in crowd[2:])  # the stream and the first two are let in
    feed.on_progress(Progress("train"))
    assert stream.until("live")["progress"]["stage"] == "train"
    for one in crowd:
        one.close()
    eventually(lambda: len(server._web.connections) == 1)
    assert reader.get("/api/state")[0] == 200


def is_hung_up(one, seconds=20.0):
    one.settimeout(seconds)
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_connection_that_asks_for_nothing_is_ended(feed, serve, monkeypatch):
    monkeypatch.setattr(thread, "FIRST_REQUEST_S", 0.05)
    server, reader = serve(feed)
    for said in (b"", b"GET / HTTP/1.1\r\nHost: "):
        with connected(server) as silent:
            silent.sendall(said)
            assert is_hung_up(silent)
    assert reader.get("/api/state")[0] == 200


def test_connection_that_has_asked_is_left_alone(feed, serve, monkeypatch):
    monkeypatch.setattr(thread, "FIRST_REQUEST_S", 0.2)
    _, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    kept = http.client.HTTPConnection(reader.netloc, timeout=120)
    for _ in range(3):
        kept.request("GET", "/api/trials/0", headers=reader.headers)
        assert kept.getresponse().read()
    abort_if_silent(SimpleNamespace(cycle=object(), transport=None))
    feed.on_progress(Progress("train"))
    assert stream.until("live")["progress"]["stage"] == "train"
    kept.close()
