from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from explorer.data.download import fetch, why_unreachable
from explorer.records import Progress

CONTENT = bytes(range(256)) * 4096


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; at /cut the first request ends half-way; ranges are honored except at /whole.

    At /stall half of it comes and then nothing, at /trickle a byte now and then, at /other another part than was asked
    for; /loop leads to itself.
    """

    n_cuts = 1

    def do_HEAD(self) -> None:
        if self.path == "/loop":
            self.do_GET()
            return
        self.send_response(404 if self.path == "/absent" else 200)
        self.end_headers()

    def do_GET(self) -> None:
        if self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
            return
        start = 0
        wanted = self.headers.get("Range")
        if wanted and self.path != "/whole":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            first = 0 if self.path == "/other" else start
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if self.path in ("/stall", "/trickle"):
            self.come_slowly(start)
            return
        if self.path == "/cut" and self.server.n_cuts:  # type: ignore[attr-defined]
            self.server.n_cuts -= 1  # type: ignore[attr-defined]
            self.wfile.write(CONTENT[start : len(CONTENT) // 2])
        else:
            self.wfile.write(CONTENT[start:])

    def come_slowly(self, start: int) -> None:
        has_ended = self.server.has_ended  # type: ignore[attr-defined]
        self.wfile.write(CONTENT[start : len(CONTENT) // 2])
        if self.path == "/stall":
            has_ended.wait(60)
        while not has_ended.wait(0.02):
            self.wfile.write(b"x")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.n_cuts = 1  # type: ignore[attr-defined]
    service.has_ended = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{service.server_port}"
    service.has_ended.set()  # type: ignore[attr-defined]
    service.shutdown()
    service.server_close()
    thread.join()


def test_why_unreachable_server_that_answers_is_reachable(server: str) -> None:
    assert why_unreachable(f"{server}/file", 5) is None


def test_why_unreachable_absent_file_is_not_found(server: str) -> None:
    assert "404" in (why_unreachable(f"{server}/absent", 5) or "")


def test_why_unreachable_closed_port_is_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert why_unreachable(f"http://127.0.0.1:{port}/file", 5) == "Connection refused"


def test_why_unreachable_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cause = why_unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}/file", 0.1)
    assert "timed out" in (cause or "") or "no answer" in (cause or "")


def test_fetch_whole_file_reports_progress_in_mib(server: str, tmp_path: Path) -> None:
    seen: list[Progress] = []
    fetch(f"{server}/file", tmp_path / "file", seen.append)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("download", 1.0, 1.0)


@pytest.mark.parametrize("path", ["cut", "whole"])
def test_fetch_after_a_cut_goes_on_or_begins_again(server: str, tmp_path: Path, path: str) -> None:
    target = tmp_path / "file"
    with pytest.raises(OSError, match="the connection ended after 524288 of 1048576 bytes"):
        fetch(f"{server}/cut", target, lambda _: None)
    assert target.stat().st_size == len(CONTENT) // 2
    fetch(f"{server}/{path}", target, lambda _: None)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("path", "cause"), [("stall", "timed out"), ("trickle", r"it sent \d+ bytes in")])
def test_fetch_from_a_server_that_stalls_is_given_up_and_goes_on_later(
    server: str, tmp_path: Path, path: str, cause: str
) -> None:
    target = tmp_path / "file"
    with pytest.raises(OSError, match=cause):
        fetch(f"{server}/{path}", target, lambda _: None, timeout_s=0.2, slowest_bytes_per_s=1e9)
    assert target.stat().st_size >= len(CONTENT) // 2
    with target.open("r+b") as file:
        file.truncate(len(CONTENT) // 2)  # what trickles is not the content
    fetch(f"{server}/file", target, lambda _: None)
    assert target.read_bytes() == CONTENT


def test_fetch_from_a_slow_server_that_is_fast_enough_goes_on(server: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="enough seen"):
        fetch(f"{server}/trickle", tmp_path / "file", _until_trickling(), timeout_s=0.1, slowest_bytes_per_s=1)


def _until_trickling() -> Callable[[Progress], None]:
    """Ends a download that would go on for ever, once it has come to what trickles."""
    n_reports = 0

    def on_progress(progress: Progress) -> None:
        nonlocal n_reports
        n_reports += progress.done > 0.5
        if n_reports == 3:
            raise RuntimeError("enough seen")

    return on_progress


def test_fetch_of_what_is_whole_or_longer_begins_again(server: str, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(bytes(len(CONTENT)))
    fetch(f"{server}/file", target, lambda _: None)
    assert target.read_bytes() == CONTENT


def test_fetch_of_another_part_than_requested_is_refused_and_changes_nothing(server: str, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(CONTENT[:100])
    with pytest.raises(OSError, match="the server sent bytes 0-1048575/1048576 when asked for byte 100 on"):
        fetch(f"{server}/other", target, lambda _: None)
    assert target.read_bytes() == CONTENT[:100]


def test_fetch_and_why_unreachable_of_an_address_that_leads_to_itself_end(server: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="redirect"):
        fetch(f"{server}/loop", tmp_path / "file", lambda _: None)
    assert "redirect" in (why_unreachable(f"{server}/loop", 5) or "")


def test_why_unreachable_name_without_an_address_is_explained() -> None:
    assert why_unreachable("http://no-such-host.invalid/file", 5)


def test_fetch_of_a_file_without_end_is_given_up_and_leaves_nothing(server: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the server sent more than 100000 bytes"):
        fetch(f"{server}/file", tmp_path / "file", lambda _: None, most_bytes=100_000)
    assert not (tmp_path / "file").exists()
