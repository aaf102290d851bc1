import gc
import http.client
import json
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from explorer.records import Progress, Variant
from explorer.system import cores
from explorer.views.page import html as page
from explorer.views.server import events, snapshots, thread
from explorer.views.server.feed import Feed
from explorer.views.server.thread import NoDashboard, Server
from explorer.web import addresses


@pytest.fixture
def feed(makers):
    return Feed(makers.make_small_result())


def grown(feed, makers, n=1):
    for _ in range(n):
        result = feed.state().result
        record = makers.make_trial(len(result.trials), reason="gone")
        feed.on_trial_end(record, replace(result, trials=(*result.trials, record)))


def test_link_opens_the_page(feed, serve):
    server, reader = serve(feed)
    status, headers, _ = reader.get(f"/?token={reader.token}", headers={})
    assert (status, headers["location"]) == (303, "/")
    assert headers["set-cookie"].startswith(f"explore-{server.port}={reader.token};")
    assert reader.get("/")[0] == 200
    assert "server" not in {name.lower() for name in headers}


def test_prepared_server_has_made_what_the_first_page_asks_for(feed, serve, monkeypatch):
    server, reader = serve(feed)
    server.prepare()
    monkeypatch.setattr(snapshots, "page_data", lambda result: pytest.fail("made again"))
    status, _, body = reader.get("/api/state")
    assert status == 200
    assert json.loads(body)["trials"]["number"] == [0, 1, 2, 3, 4, 5]


def test_prepared_server_that_could_not_prepare_says_so_and_serves(feed, monkeypatch):
    def broken(result):
        raise ValueError("not today")

    faults = []
    server = Server(feed, 0, on_fault=faults.append)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(snapshots, "page_data", broken)
            server.prepare()
        assert faults == ["the dashboard could not prepare its first page: ValueError: not today"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", server.link.partition(str(server.port))[2])
        assert connection.getresponse().status == 303
        connection.close()
    finally:
        server.stop()


def test_stream_follows_the_study_without_gap_or_repeat(feed, serve, makers):
    _, reader = serve(feed)
    stream = reader.events(since=6)
    assert stream.until("live")["version"] == 6
    numbers = []
    for _ in range(10):
        grown(feed, makers)
        numbers += stream.until("trials")["trials"]["number"]
    assert numbers == list(range(6, 16))


def test_stream_gathers_trials_that_come_fast(feed, serve, makers):
    _, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    grown(feed, makers, 200)
    numbers, n_events = [], 0
    while len(numbers) < 200:
        numbers += stream.until("trials")["trials"]["number"]
        n_events += 1
    assert numbers == list(range(6, 206))
    assert n_events <= 3


def test_reader_that_comes_back_gets_what_it_missed(feed, serve, makers):
    _, reader = serve(feed)
    stream = reader.events(since=6)
    next(stream)
    stream.close()
    grown(feed, makers, 3)
    event, version, data = next(reader.events(last_id=stream.last_id))
    assert (event, version) == ("trials", 9)
    assert data["trials"]["number"] == [6, 7, 8]


def test_last_event_id_counts_more_than_the_address(feed, serve, makers):
    _, reader = serve(feed)
    grown(feed, makers, 3)
    assert reader.events(since=2, last_id=7).until("trials")["trials"]["number"] == [7, 8]


def test_server_that_is_started_again_goes_on_with_the_same_page(feed, serve, makers):
    server, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    server.stop()
    assert [event for event, _, _ in stream] == []
    grown(feed, makers)
    again, _ = serve(feed, port=server.port)
    assert again.link != server.link
    assert reader.events(last_id=6).until("trials")["trials"]["number"] == [6]


def test_reader_that_does_not_read_keeps_nobody_waiting(feed, serve, makers):
    _, reader = serve(feed)
    sleeping = reader.events(since=0)  # never read: its buffers fill
    awake = reader.events(since=6)
    awake.until("live")
    for number in range(20):
        feed.on_progress(Progress("train", number, 20, "x" * 100))
    grown(feed, makers)
    assert awake.until("trials")["trials"]["number"] == [6]
    assert sleeping.answer.status == 200


def test_readers_that_have_gone_are_forgotten(feed, serve, eventually):
    _, reader = serve(feed)
    streams = [reader.events(since=6) for _ in range(5)]
    eventually(lambda: len(feed._listeners) == 5)
    for stream in streams:
        stream.until("live")
        stream.close()
    gc.collect()
    eventually(lambda: feed._listeners == ())


def test_quiet_stream_has_a_heartbeat(feed, serve, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    _, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    lines = [stream.answer.readline() for _ in range(4)]
    assert lines == [b": still here\n", b"\n"] * 2


def test_stream_says_what_happens_now(feed, serve):
    _, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    feed.on_trial_start(6, Variant(width=0.5))
    assert stream.until("live")["running"]["trial"] == 6
    feed.end("finished")
    assert stream.until("live")["status"] == "finished"


def test_stream_has_the_headers_of_every_answer(feed, serve):
    _, reader = serve(feed)
    headers = dict(reader.events().answer.getheaders())
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "request_lines",
    [
        ["GET /api/events HTTP/1.1", "Host: evil.example"],
        ["GET /api/events HTTP/1.1", "Host: [::1]evil"],
        ["GET /api/events HTTP/1.1", "Host: {host}", "Host: {host}"],
        ["GET /api/events HTTP/1.1"],
        ["GET /api/events HTTP/1.0"],
        ["GET http://evil.example/api/events HTTP/1.1", "Host: evil.example"],
        ["POST /api/state HTTP/1.1", "Host: {host}"],
        ["CONNECT evil.example:443 HTTP/1.1", "Host: {host}"],
        ["BREW / HTTP/1.1", "Host: {host}"],
        ["\x00\x01"],
    ],
)
def test_raw_requests_that_are_not_ours_get_400_or_403(feed, serve, request_lines):
    server, reader = serve(feed)
    lines = [line.format(host=reader.netloc) for line in request_lines]
    lines.append(f"Cookie: {reader.headers['Cookie']}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    assert answer.split(b" ")[1] in (b"400", b"403")
    assert b"made-up" not in answer


def test_stop_ends_streams_and_frees_the_port(feed, serve):
    server, reader = serve(feed)
    stream = reader.events()
    stream.until("live")
    idle = http.client.HTTPConnection(reader.netloc, timeout=120)
    idle.request("GET", "/api/state", headers=reader.headers)
    idle.getresponse().read()
    server.stop()
    server.stop()
    assert list(stream) == []
    assert "dashboard" not in [one.name for one in threading.enumerate()]
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", server.port))
    assert feed._listeners == ()
    idle.close()


def test_last_words_of_a_study_reach_the_page_before_the_server_goes(feed, serve, makers):
    server, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    grown(feed, makers)
    feed.end("finished")
    server.stop()
    told = list(stream)
    assert [number for event, _, data in told if event == "trials" for number in data["trials"]["number"]] == [6]
    assert told[-1][2]["status"] == "finished"


def test_reader_that_does_not_read_costs_a_bounded_buffer_and_no_time(makers, serve, eventually):
    """Its socket fills; what the server has not got rid of by then is one event, however much there is to tell."""
    result = makers.make_seeded_result(1500)
    feed = Feed(result)
    server, reader = serve(feed)
    server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)  # so that the system's own fill soon
    with socket.socket() as sleeping:
        sleeping.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeping.connect(("127.0.0.1", server.port))
        lines = ["GET /api/events?since=0 HTTP/1.1", f"Host: {reader.netloc}", f"Cookie: {reader.headers['Cookie']}"]
        sleeping.sendall("\r\n".join([*lines, "", ""]).encode())
        eventually(lambda: feed._listeners)
        (one,) = server._web.connections
        eventually(lambda: one.flow is not None and one.flow.write_paused)
        kept = one.transport.get_write_buffer_size()
        for number in range(2000):
            feed.on_progress(Progress("train", number, 2000, "x" * 150))
        awake = reader.events(since=1500)
        assert awake.until("live")["progress"]["done"] == 1999
        assert one.transport.get_write_buffer_size() <= kept
        server.stop()
        assert "dashboard" not in [each.name for each in threading.enumerate()]


def test_port_that_is_taken_is_refused_in_one_sentence(feed, serve):
    server, _ = serve(feed)
    with pytest.raises(NoDashboard, match=f"port {server.port} of 127.0.0.1 is not available.*--port") as found:
        Server(feed, server.port)
    assert found.value.exit_code == 5


def test_default_port_that_is_taken_gives_way_to_the_next(feed, serve, monkeypatch):
    first, _ = serve(feed)
    monkeypatch.setattr(thread, "DEFAULT_PORT", first.port)
    second, reader = serve(feed, port=None)
    assert second.port != first.port
    assert reader.get("/api/state")[0] == 200


def test_without_any_of_the_usual_ports_the_system_chooses(feed, serve, monkeypatch):
    first, _ = serve(feed)
    monkeypatch.setattr(thread, "DEFAULT_PORT", first.port)
    monkeypatch.setattr(addresses, "_N_PORTS", 1)
    assert serve(feed, port=None)[0].port != first.port


def test_host_that_is_none_of_ours_is_refused_in_one_sentence(feed):
    with pytest.raises(NoDashboard, match=r"cannot listen on 192\.0\.2\.1"):
        Server(feed, 0, "192.0.2.1")
    with pytest.raises(NoDashboard, match="--host no such name"):
        Server(feed, 0, "no such name")


def test_socket_is_not_inherited_by_child_processes(feed, serve):
    server, _ = serve(feed)
    assert not server._socket.get_inheritable()


def test_server_leaves_the_measuring_cores_with_the_coordinator(feed, serve):
    serve(feed)
    (one,) = [found for found in threading.enumerate() if found.name == "dashboard"]
    available = cores.available()
    measuring = cores.measuring(available, 1)
    with cores.keep_free(measuring, [os.getpid()]):
        expected = set(available) - set(measuring) or set(available)
        assert os.sched_getaffinity(one.native_id) == expected
    assert os.sched_getaffinity(one.native_id) == set(available)


def test_workers_begun_while_a_probe_runs_leave_its_cores_too(feed, serve, monkeypatch):
    """Whatever a page asks for meanwhile is made elsewhere, as far as there is an elsewhere."""
    seen = []

    def render(result):
        seen.append((threading.current_thread().name, os.sched_getaffinity(0)))
        return "page"

    monkeypatch.setattr(page, "render_live", render)
    _, reader = serve(feed)
    available = cores.available()
    measuring = cores.measuring(available, 1)
    with cores.keep_free(measuring, [os.getpid()]):
        assert reader.get("/")[0] == 200
    assert reader.get("/")[0] == 200
    (worker, meanwhile), (_, afterwards) = seen
    assert worker != threading.current_thread().name
    assert meanwhile == (set(available) - set(measuring) or set(available))
    assert afterwards == set(available)


def test_server_that_breaks_says_so_and_nothing_else_happens(feed, monkeypatch, eventually):
    async def broken(self, sockets):
        raise SystemExit(3)

    monkeypatch.setattr(uvicorn.Server, "serve", broken)
    faults = []
    server = Server(feed, 0, on_fault=faults.append)
    eventually(lambda: faults)
    assert faults == ["the dashboard has stopped: SystemExit: 3; the study goes on"]
    feed.on_progress(Progress("train"))
    server.stop()


def test_progress_costs_the_study_no_thread_and_no_json(feed, serve, monkeypatch):
    """The study's thread only replaces a value and rings: whatever is built is built in the server's threads."""
    _, reader = serve(feed)
    stream = reader.events(since=6)
    stream.until("live")
    builders = set()
    dumps = json.dumps

    def watched(*arguments, **options):
        builders.add(threading.get_ident())
        return dumps(*arguments, **options)

    monkeypatch.setattr(json, "dumps", watched)
    feed.on_progress(Progress("train", 1, 2))
    stream.until("live")
    assert builders
    assert threading.get_ident() not in builders


def test_process_keeps_no_descriptor_of_a_stopped_server(feed):
    Server(feed, 0).stop()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        Server(feed, 0).stop()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
