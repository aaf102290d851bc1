import socket
import threading
import urllib.request
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from explorer.errors import NotAvailable
from explorer.web.addresses import listening
from explorer.web.server import ConnectionLimits, WebServer, said_once


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    found = listening("127.0.0.1", 0, 0)
    yield found
    found.close()


def served(listener, failures, **options):
    limits = ConnectionLimits(H11Protocol, 8)
    return WebServer(PlainTextResponse("hello"), listener, limits, "test-server", failures.append, **options)


def test_server_answers_from_construction_until_stop(listener):
    failures, port = [], listener.getsockname()[1]
    server = served(listener, failures)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=60) as answer:
        assert answer.read() == b"hello"
    assert server.is_running
    server.stop()
    server.stop()
    assert not server.is_running
    assert "test-server" not in [thread.name for thread in threading.enumerate()]
    assert listener.fileno() == -1
    assert failures == []


def test_what_comes_before_the_end_is_awaited_in_the_server(listener):
    names = []

    async def before_end():
        names.append(threading.current_thread().name)
        server.close_listener()
        return 0.5

    server = served(listener, [], before_end=before_end)
    server.stop()
    assert names == ["test-server"]


def test_system_without_threads_is_an_error_of_its_own(listener, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(NotAvailable, match="gives no thread"):
        served(listener, [])
    assert listener.fileno() == -1


def test_faults_are_reported_once_in_one_line_and_not_without_end():
    said = []
    say = said_once(said.append)
    for number in range(1_000):
        say(f"fault\n {number // 2} {'x' * 1_000}")
    assert len(said) == 100
    assert said[:2] == [f"fault 0 {'x' * 492}", f"fault 1 {'x' * 492}"]
